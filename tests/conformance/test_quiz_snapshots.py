"""The channels `attempts` and `leaderboard`: a snapshot at once, then at most five a second, and the last one is the state."""

import asyncio
import json
import random
import time

from quiz import (
    CHOICE, ESSAY, SELECT, SHORT, TRUTH, Owner, confirmation, frames, is_true_soon, order, owner_socket, same, subscribe, who,
)


async def snapshots(socket, channel: str) -> list[tuple[float, list]]:
    """Those that have come so far: when, and the rows."""
    texts = [(heard.at, json.loads(heard.data)) for heard in socket.everything if heard.kind == "text"]
    return [(at, frame["snapshot"]) for at, frame in texts if frame["event"] == "snapshot" and frame["channel"] == channel]


async def state(teacher, quiz: dict, channel: str) -> list[dict]:
    """What a snapshot must end at, from the list of attempts."""
    rows = await teacher.attempts(quiz_id=quiz["id"])
    fields = ["attempt_id", "participant_id", "alias", "quiz_id", "event_id"]
    fields += {
        "attempts": ["status", "started_at", "answered_count", "score", "flags_count"],
        "leaderboard": ["score", "answered_count", "status"],
    }[channel]
    return [{name: row[name] for name in fields} for row in rows]


def unranked(rows: list[dict]) -> list[dict]:
    """A leaderboard's rows without their ranks."""
    return [{name: value for name, value in row.items() if name != "rank"} for row in rows]


async def test_the_first_snapshot_comes_after_the_confirmation_and_may_be_empty(house, teacher):
    quiz = await teacher.quiz()
    channels = [f"attempts:{quiz['id']}", f"leaderboard:{quiz['id']}"]
    for shard in set(house.two_shards):
        owner = await owner_socket(house, teacher.token, shard)
        owner.send(order("subscribe", *channels))
        same(await owner.json(), confirmation("subscribed", *channels))
        said = sorted(await frames(owner, 2), key=lambda frame: frame["channel"])
        same(said, [{"event": "snapshot", "t": None, "channel": channel, "snapshot": []} for channel in ("attempts", "leaderboard")])


async def test_a_snapshot_is_to_the_letter(house, teacher):
    quiz = await teacher.quiz()
    event = (await teacher.make("/events", {"title": "Autumn"}))["id"]
    first, second = await teacher.begin(quiz["id"], alias="Ann"), await teacher.begin(quiz["id"], alias="Bob", event_id=event)
    await first.answer(0, 1)
    await second.answer(0, 1)
    await second.answer(1, True)
    await second.flag("a", "A", "b")
    await second.submit()
    await first.answer(2, "Paris")
    owner = await owner_socket(house, teacher.token, house.two_shards[1])
    await subscribe(owner, f"attempts:{quiz['id']}")
    same(await owner.json(), {"event": "snapshot", "t": None, "channel": "attempts", "snapshot": [
        who(first) | {"status": "running", "started_at": first.begun["started_at"], "answered_count": 2, "score": 10.0, "flags_count": 0},
        who(second) | {"status": "ended", "started_at": second.begun["started_at"], "answered_count": 2, "score": 11.0, "flags_count": 3},
    ]})
    await subscribe(owner, f"leaderboard:{quiz['id']}")

    same(await owner.json(), {"event": "snapshot", "t": None, "channel": "leaderboard", "snapshot": [
        {"rank": 1} | who(second) | {"score": 11.0, "answered_count": 2, "status": "ended"},
        {"rank": 2} | who(first) | {"score": 10.0, "answered_count": 2, "status": "running"},
    ]})


async def test_snapshots_are_conflated_and_the_last_one_is_the_state(house, teacher):
    quiz = await teacher.quiz([CHOICE, SELECT, TRUTH, SHORT, ESSAY])
    channels = ("attempts", "leaderboard")
    began = time.monotonic()
    owners = [await teacher.watch(*(f"{channel}:{quiz['id']}" for channel in channels), shard=shard) for shard in house.two_shards]
    attempts = [await teacher.begin(quiz["id"], alias=f"P{index}") for index in range(10)]

    async def five_answers(index, attempt):
        for question, given in enumerate([index % 2, [1, 3] if index % 3 else [0], bool(index % 4), "Rome", "because"]):
            await asyncio.sleep(random.uniform(0.5, 1))  # so that there is a change at any time, for some seconds
            await attempt.answer(question, given)

    await asyncio.gather(*(five_answers(index, attempt) for index, attempt in enumerate(attempts)))
    for attempt in attempts[:3]:
        await attempt.submit()
    await attempts[4].flag("late")
    for owner in owners:
        for channel in channels:
            expected = sorted(await state(teacher, quiz, channel), key=lambda row: row["attempt_id"])

            async def is_the_state():
                last = (await snapshots(owner, channel))[-1][1]
                return sorted(unranked(last), key=lambda row: row["attempt_id"]) == expected

            await is_true_soon(is_the_state)
            came = await snapshots(owner, channel)
            times = [at for at, _ in came]
            # One is that behind the subscription, one more the first change's. What comes late does not hurry those after it.
            hurried = [number for number, at in enumerate(times, 1) if number > 5 * (at - began) + 3]
            assert not hurried, f"more than five a second: {[at - began for at in times]}"
            assert all(earlier[1] != later[1] for earlier, later in zip(came, came[1:])), "a snapshot tells of a change"
    board = (await snapshots(owners[0], "leaderboard"))[-1][1]
    assert [row["rank"] for row in board] == list(range(1, 11))
    assert [row["score"] for row in board] == sorted((row["score"] for row in board), reverse=True)


async def test_a_change_is_shown_soon_and_quiet_stays_quiet(house, teacher):
    quiz = await teacher.quiz()
    owner = await teacher.watch(f"attempts:{quiz['id']}")
    assert (await owner.json())["snapshot"] == []
    attempt = await teacher.begin(quiz["id"])
    for count in (0, 1):
        assert (await owner.json())["snapshot"][0]["answered_count"] == count
        if count == 0:
            await attempt.answer(0, 1)
    await owner.quiet(0.5)
    owner.send(order("unsubscribe", f"attempts:{quiz['id']}"))
    same(await owner.json(), confirmation("unsubscribed", f"attempts:{quiz['id']}"))
    await attempt.submit()
    await owner.quiet(0.5)


async def test_equal_scores_rank_by_the_time_to_the_last_answer(house, teacher):
    """Who began later but answered faster is first; the attempt that nobody answered in is last."""
    quiz = await teacher.quiz([CHOICE])
    slow = await teacher.begin(quiz["id"], alias="slow")
    await asyncio.sleep(0.2)
    fast = await teacher.begin(quiz["id"], alias="fast")
    await fast.answer(0, 1)
    await slow.answer(0, 1)
    wrong = await teacher.begin(quiz["id"], alias="wrong")
    await wrong.answer(0, 0)
    owner = await owner_socket(house, teacher.token)
    await subscribe(owner, f"leaderboard:{quiz['id']}")
    assert [(row["rank"], row["alias"]) for row in (await owner.json())["snapshot"]] == [(1, "fast"), (2, "slow"), (3, "wrong")]


async def test_a_snapshot_has_at_most_so_many_rows(build, http, name):
    house = build(quiz={"snapshot_rows": 3})
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz([CHOICE])
    attempts = [await teacher.begin(quiz["id"], alias=f"P{index}") for index in range(5)]
    await attempts[0].answer(0, 1)
    owner = await owner_socket(house, teacher.token)
    await subscribe(owner, f"attempts:{quiz['id']}")
    rows = (await owner.json())["snapshot"]
    assert [row["alias"] for row in rows] == ["P0", "P4", "P3"], "latest change first"
    await subscribe(owner, f"leaderboard:{quiz['id']}")
    rows = (await owner.json())["snapshot"]
    assert (len(rows), rows[0]["alias"]) == (3, "P0")
