"""The quiz socket: every message of the contract to the letter, subscriptions, who hears what and in which order."""

import asyncio
import json
import time

import pytest

from contract import compact
from quiz import (
    CHOICE, ESSAY, NOBODY, Rest, SELECT, SHORT, TRUTH, confirmation, denied, frames, is_error, order,
    owner_socket, round_trip, same, seconds, subscribe, update, who,
)

ALIASES = ["Alice", "Иван Петров", 'q"u\\o/te', "🙂‍↔️", "</script>&amp;", "\u2028", "x" * 100]


async def test_every_event_of_one_attempt_is_to_the_letter(house, teacher):
    """Start, answers of every kind, flags, submit: exact keys in their order, types and values, to owner and participant."""
    quiz = await teacher.quiz([CHOICE, SELECT, TRUTH, SHORT, ESSAY])
    event = await teacher.make("/events", {"title": "Autumn"})
    first, second = house.two_shards
    owner = await teacher.watch(f"quiz:{quiz['id']}", shard=first)
    before = int(time.time())
    attempt = await teacher.begin(quiz["id"], event_id=event["id"])
    assert attempt.begun["event_id"] == event["id"]
    same(await owner.json(), update("attempt_quiz", who(attempt) | {"started_at": attempt.begun["started_at"]}))
    assert before - 1 <= seconds(attempt.begun["started_at"]) <= time.time() + 1
    participant = await attempt.listen(second)

    scores = [(0, 1, True, 10.0), (3, " rOMA ", True, 4.0), (1, [3], False, 0.0), (4, "because", None, 0.0), (2, True, True, 1.0)]
    for count, (index, given, is_correct, score) in enumerate(scores, 1):
        answer = await attempt.answer(index, given)
        same(await owner.json(), update("attempt_update", who(attempt) | {
            "question_id": quiz["questions"][index]["id"], "answer_id": answer["answer_id"], "is_correct": is_correct, "score": score,
            "answered_at": answer["answered_at"], "answered_count": count, "question_order": index + 1,
        }))
        assert before - 1 <= seconds(answer["answered_at"]) <= time.time() + 1

    flagged = await attempt.flag("tab_switch", "TAB_SWITCH", "clipboard", detail={"what": "not for sockets"})
    same(await owner.json(), update("attempt_flagged", who(attempt) | {
        "labels": ["TAB_SWITCH", "CLIPBOARD"], "flagged_at": flagged["flagged_at"],
    }))
    end = await attempt.submit()
    finished = await owner.json()
    taken = finished["data"]["time_taken_ms"]
    same(finished, update("attempt_finished", who(attempt) | {"answered_count": 5, "time_taken_ms": taken}))
    assert 0 < taken <= (time.time() - before + 1) * 1000
    same(await participant.json(), update("attempt_closed", {
        "attempt_id": attempt.id, "quiz_id": quiz["id"], "event_id": event["id"], "reason": "submitted", "score": 15.0,
        "answered_count": 5, "submitted_at": end["submitted_at"],
    }, "notification"))
    assert await participant.close_code() == 1000
    assert await round_trip(owner) == []


async def test_without_an_event_its_id_is_null_and_wrong_answers_are_worth_a_float(house, teacher):
    quiz = await teacher.quiz([CHOICE])
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempt = await teacher.begin(quiz["id"])
    participant = await attempt.listen()
    await attempt.answer(0, 0)
    await attempt.flag("x")
    await attempt.submit()
    heard = await frames(owner, 4)
    for frame in heard:
        assert frame["data"]["event_id"] is None
    assert compact(heard[1]["data"]["score"]) == "0.0" and heard[1]["data"]["is_correct"] is False
    closed = await participant.json()
    assert closed["data"]["event_id"] is None and compact(closed["data"]["score"]) == "0.0"


@pytest.mark.parametrize("alias", ALIASES, ids=range(len(ALIASES)))
async def test_any_alias_comes_through_as_it_was(house, teacher, alias):
    quiz = await teacher.quiz([CHOICE])
    owner = await teacher.watch(f"quiz:{quiz['id']}", f"attempts:{quiz['id']}", f"leaderboard:{quiz['id']}")
    await frames(owner, 2)
    attempt = await teacher.begin(quiz["id"], alias=alias)
    assert attempt.begun["alias"] == alias
    for frame in await frames(owner, 3):
        data = frame["data"] if frame["event"] == "update" else frame["snapshot"][0]
        assert data["alias"] == alias
    assert [row["alias"] for row in await teacher.attempts(quiz_id=quiz["id"])] == [alias]
    assert (await teacher.get(f"/participants/{attempt.begun['participant_id']}"))["alias"] == alias


@pytest.mark.parametrize("alias", ["line\nand\ttab", "\u0000", "\u001b[2J", "\u007f", "\u009b"], ids=range(5))
async def test_an_alias_has_no_control_characters(teacher, alias):
    quiz = await teacher.quiz([CHOICE])
    for path in (f"/quizzes/{quiz['id']}/attempts", "/participants"):
        await teacher.refused("VAL-001", "POST", path, {"alias": alias})


# --- subscriptions


async def test_a_partial_batch_confirms_the_accepted_and_names_the_others(house, teacher, colleague):
    mine, other, theirs = await teacher.quiz(), await teacher.quiz(), await colleague.quiz()
    owner = await owner_socket(house, teacher.token)
    wanted = [f"quiz:{theirs['id']}", f"quiz:{other['id']}", "quiz:9007199254740991", f"quiz:{mine['id']}"]
    owner.send(order("subscribe", *wanted))
    same(await owner.json(), confirmation("subscribed", wanted[1], wanted[3]))
    same(await frames(owner, 2), [denied(wanted[0]), denied(wanted[2])])
    owner.send(order("subscribe", wanted[0]))
    same(await owner.json(), denied(wanted[0]))
    await colleague.begin(theirs["id"])
    assert await round_trip(owner) == []


async def test_channels_of_many_quizzes_in_one_batch_keep_their_order(house, teacher):
    quizzes = [await teacher.quiz() for _ in range(12)]
    wanted = [f"quiz:{quiz['id']}" for quiz in quizzes[::2] + quizzes[1::2]]
    for shard in set(house.two_shards):
        owner = await teacher.watch(*wanted, shard=shard)
        for quiz in quizzes:
            await teacher.begin(quiz["id"])
        assert [frame["data"]["quiz_id"] for frame in await frames(owner, 12)] == [quiz["id"] for quiz in quizzes]


async def test_what_is_asked_twice_is_listed_once_and_heard_once(house, teacher):
    quiz = await teacher.quiz()
    channel = f"quiz:{quiz['id']}"
    owner = await owner_socket(house, teacher.token)
    owner.send(order("subscribe", channel, channel, channel))
    same(await owner.json(), confirmation("subscribed", channel))
    owner.send(order("subscribe", channel))
    same(await owner.json(), confirmation("subscribed", channel))
    await teacher.begin(quiz["id"])
    assert [frame["t"] for frame in await round_trip(owner)] == ["attempt_quiz"]
    owner.send(order("unsubscribe", channel, channel))
    same(await owner.json(), confirmation("unsubscribed", channel))
    await teacher.begin(quiz["id"])
    assert await round_trip(owner) == []


async def test_unsubscribe_lists_what_it_removed(house, teacher):
    first, second = await teacher.quiz(), await teacher.quiz()
    channels = [f"quiz:{first['id']}", f"quiz:{second['id']}"]
    owner = await teacher.watch(*channels)
    owner.send(order("unsubscribe", channels[1], "quiz:9007199254740991"))
    same(await owner.json(), confirmation("unsubscribed", channels[1]))
    for _ in range(2):
        owner.send(order("unsubscribe", channels[1]))
        same(await owner.json(), confirmation("unsubscribed"))
    await teacher.begin(second["id"])
    kept = await teacher.begin(first["id"])
    assert [frame["data"]["attempt_id"] for frame in await round_trip(owner)] == [kept.id]
    await subscribe(owner, channels[1])
    again = await teacher.begin(second["id"])
    assert (await owner.json())["data"]["attempt_id"] == again.id


async def test_an_owner_cannot_listen_to_a_notification(house, teacher):
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    owner = await owner_socket(house, teacher.token)
    for channel in (f"notification:{attempt.id}", f"notification:{NOBODY}", "notification:1"):
        owner.send(order("subscribe", channel, f"quiz:{quiz['id']}"))
        same(await owner.json(), confirmation("subscribed", f"quiz:{quiz['id']}"))
        error = await owner.json()
        assert is_error(error) and error["error"].startswith(f"Subscription denied: {channel}: "), error
    await attempt.submit()
    assert [frame["t"] for frame in await round_trip(owner)] == ["attempt_finished"]


NO_CHANNELS = [
    "quiz", "quiz:", ":1", "", ":", "quiz:abc", "quiz:1.5", "quiz:1e3", "quiz: 1", " quiz:1", "quiz:1 ", "quiz:+1", "quiz:0x1", "room:1",
    "QUIZ:1", "Quiz:1", "quiz:1:2", "quiz;1", "quiz:٣", "attempts", "leaderboard:", "leaderboard:one", "q" * 5000, "quiz:\u0000",
    "attempts:019364ab-7c12-7def-8000-abcdef123456", 'quiz:"', "quiz:\\",
]


@pytest.mark.parametrize("channel", NO_CHANNELS, ids=range(len(NO_CHANNELS)))
async def test_a_channel_that_is_none_is_an_error_and_the_rest_goes_on(house, teacher, channel):
    quiz = await teacher.quiz()
    owner = await owner_socket(house, teacher.token)
    owner.send(order("subscribe", channel, f"quiz:{quiz['id']}"))
    same(await owner.json(), confirmation("subscribed", f"quiz:{quiz['id']}"))
    assert is_error(await owner.json())
    owner.send(order("subscribe", channel))
    assert is_error(await owner.json())
    await teacher.begin(quiz["id"])
    assert [frame["t"] for frame in await round_trip(owner)] == ["attempt_quiz"]


NO_QUIZZES = ["-1", "0", "9007199254740991", "9007199254740992", "9007199254740993", "9223372036854775808", "1" * 40]


@pytest.mark.parametrize("kind", ["quiz", "attempts", "leaderboard"])
async def test_a_number_of_no_quiz_is_not_found(house, teacher, colleague, kind):
    theirs = await colleague.quiz()
    owner = await owner_socket(house, teacher.token)
    wanted = [f"{kind}:{number}" for number in [*NO_QUIZZES, theirs["id"]]]
    owner.send(order("subscribe", *wanted))
    same(await frames(owner, len(wanted)), [denied(channel) for channel in wanted])


SENSELESS = [
    "hello", "", "{", "[]", "null", "42", '"subscribe"', "{}", '{"action":"subscribe"}', '{"subscriptions":["quiz:1"]}',
    '{"action":"dance","subscriptions":["quiz:1"]}', '{"action":"Subscribe","subscriptions":["quiz:1"]}',
    '{"action":1,"subscriptions":["quiz:1"]}', '{"action":null,"subscriptions":[]}', '{"action":"subscribe","subscriptions":"quiz:1"}',
    '{"action":"subscribe","subscriptions":null}', '{"action":"subscribe","subscriptions":{"0":"quiz:1"}}',
    '{"action":"subscribe","subscriptions":[1]}', '{"action":"unsubscribe","subscriptions":7}',
    '{"action":"subscribe","subscriptions":["quiz:1"]',
    '{"action":"subscribe","subscriptions":["quiz:1"]} x', '{"action":"subscribe","subscriptions":[["quiz:1"]]}',
    '{"action":"subscribe","subscriptions":' + "[" * 5000 + "]" * 5000 + "}", '{"a":' * 5000 + "1" + "}" * 5000,
    '{"action":"subscribe","subscriptions":["\\ud800"]}',
]


@pytest.mark.parametrize("message", SENSELESS, ids=range(len(SENSELESS)))
async def test_a_senseless_message_is_an_error_and_the_connection_stays(house, teacher, message):
    quiz = await teacher.quiz()
    owner = await owner_socket(house, teacher.token)
    owner.send(message)
    assert is_error(await owner.json())
    await subscribe(owner, f"quiz:{quiz['id']}")
    await teacher.begin(quiz["id"])
    assert [frame["t"] for frame in await round_trip(owner)] == ["attempt_quiz"]


async def test_more_fields_and_any_order_and_space_are_fine(house, teacher):
    quiz = await teacher.quiz()
    channel = f"quiz:{quiz['id']}"
    owner = await owner_socket(house, teacher.token)
    for message in (
        f' {{ "subscriptions" : [ "{channel}" ] ,\n "id": {{"a":[1,2]}}, "action" : "subscribe" }} ',
        f'{{"action":"subscribe","subscriptions":["quiz\\u003a{quiz["id"]}"]}}',
    ):
        owner.send(message)
        same(await owner.json(), confirmation("subscribed", channel))
    owner.send(order("subscribe"))
    assert await round_trip(owner) in ([], [confirmation("subscribed")])


async def test_a_refused_quiz_may_be_asked_for_again_once_it_is_there(house, teacher):
    last = await teacher.quiz()
    owner = await owner_socket(house, teacher.token)
    channel = f"quiz:{last['id'] + 1}"
    owner.send(order("subscribe", channel))
    same(await owner.json(), denied(channel))
    assert (await teacher.quiz())["id"] == last["id"] + 1, "quizzes are counted"
    await subscribe(owner, channel)


async def test_binary_from_an_owner_does_not_end_the_connection(house, teacher):
    quiz = await teacher.quiz()
    owner = await owner_socket(house, teacher.token)
    owner.send(order("subscribe", f"quiz:{quiz['id']}").encode())
    assert is_error(await owner.json())
    assert await round_trip(owner) == []


async def test_requests_in_one_go_are_answered_in_their_order(house, teacher):
    """Subscribe and unsubscribe over and over without waiting, quizzes of any home; at the end only the last word counts."""
    quizzes = [await teacher.quiz() for _ in range(4)]
    channels = [f"{kind}:{quiz['id']}" for quiz in quizzes for kind in ("quiz", "leaderboard")]
    expected = [confirmation(event, channel) for _ in range(2) for channel in channels for event in ("subscribed", "unsubscribed")]
    expected.append(confirmation("subscribed", channels[0]))
    for shard in set(house.two_shards):
        owner = await owner_socket(house, teacher.token, shard)
        for _ in range(5):
            for frame in expected:
                owner.send(order(frame["event"].removesuffix("d"), *frame["subscriptions"]))
            heard = []
            while len(heard) < len(expected):
                if (frame := await owner.json())["event"] != "snapshot":
                    heard.append(frame)
                else:
                    assert heard[-1]["event"] == "subscribed" and heard[-1]["subscriptions"][0].startswith("leaderboard")
            same(heard, expected)
        attempts = [await teacher.begin(quiz["id"]) for quiz in quizzes]
        assert [frame["data"]["attempt_id"] for frame in await round_trip(owner)] == [attempts[0].id]


async def test_whoever_asks_faster_than_is_answered_hears_so_and_stays(house, teacher):
    quiz = await teacher.quiz()
    owner = await owner_socket(house, teacher.token)
    for _ in range(500):
        owner.send(order("subscribe", f"quiz:{quiz['id']}"))
        owner.send(order("unsubscribe", f"quiz:{quiz['id']}"))
    heard = await frames(owner, 1000)
    assert all(is_error(frame) or frame["event"] in ("subscribed", "unsubscribed") for frame in heard)
    await subscribe(owner, f"quiz:{quiz['id']}")


async def test_who_comes_in_while_events_flow_misses_none_from_then_on(house, teacher):
    quiz = await teacher.quiz([CHOICE] * 60)
    channel = f"quiz:{quiz['id']}"
    whole = await teacher.watch(channel)
    attempt = await teacher.begin(quiz["id"])
    owners = []

    async def come_and_go():
        for index in range(12):
            owner = await owner_socket(house, teacher.token, house.two_shards[index % 2])
            owner.send(order("subscribe", channel))
            if index % 3 == 0:
                owner.send(order("unsubscribe", channel))
            owners.append(owner)

    async def answer():
        for index in range(60):
            await attempt.answer(index, 1)

    await asyncio.gather(come_and_go(), answer())
    await attempt.submit()
    everything = [await whole.text() for _ in range(62)]
    for index, owner in enumerate(owners):
        await round_trip(owner)
        texts = [heard.data.decode() for heard in owner.everything if heard.kind == "text"]
        events = [json.loads(text)["event"] for text in texts]
        assert events[0] == "subscribed"
        if index % 3 == 0:
            assert "update" not in events[events.index("unsubscribed"):], "nothing after the confirmation"
        updates = [text for text in texts if '"update"' in text[:20]]
        if index % 3 == 0:
            start = everything.index(updates[0]) if updates else 0
            assert updates == everything[start:start + len(updates)]
        else:
            assert updates and updates == everything[-len(updates):]


# --- who hears what


async def test_two_owners_hear_all_of_their_own_in_order_and_nothing_else(house, teacher, colleague):
    """100 events on each of two quizzes at once, watched by two sockets each."""
    owners = [teacher, colleague]
    quizzes = [await owner.quiz([CHOICE] * 8) for owner in owners]
    sockets = [[await owner.watch(f"quiz:{quiz['id']}", shard=shard) for shard in house.two_shards] for owner, quiz in zip(owners, quizzes)]

    async def ten_events(owner, quiz, alias):
        attempt = await owner.begin(quiz["id"], alias=alias)
        for index in range(8):
            await attempt.answer(index, index % 2)
        await attempt.submit()

    await asyncio.gather(*(
        ten_events(owner, quiz, f"{owner.sub} {index}") for index in range(10) for owner, quiz in zip(owners, quizzes)
    ))
    for owner, quiz, pair in zip(owners, quizzes, sockets):
        heard = [await frames(socket, 100) for socket in pair]
        assert heard[0] == heard[1], "one order for all who watch"
        assert all(frame["data"]["quiz_id"] == quiz["id"] and frame["data"]["alias"].startswith(owner.sub) for frame in heard[0])
        by_attempt = {}
        for frame in heard[0]:
            by_attempt.setdefault(frame["data"]["attempt_id"], []).append((frame["t"], frame["data"].get("answered_count")))
        expected = [("attempt_quiz", None), *(("attempt_update", count) for count in range(1, 9)), ("attempt_finished", 8)]
        assert list(by_attempt.values()) == [expected] * 10
        for socket in pair:
            assert await round_trip(socket) == []


async def test_nothing_is_replayed_after_a_reconnect(house, teacher):
    quiz = await teacher.quiz()
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempt = await teacher.begin(quiz["id"])
    assert (await owner.json())["t"] == "attempt_quiz"
    await owner.leave()
    await attempt.answer(0, 1)
    again = await owner_socket(house, teacher.token)
    await attempt.answer(1, True)
    assert await round_trip(again) == [], "no subscription is remembered"
    await subscribe(again, f"quiz:{quiz['id']}")
    await attempt.answer(2, "Rome")
    assert [frame["data"]["answered_count"] for frame in await round_trip(again)] == [3]


async def test_an_owner_hears_what_keys_and_time_do_in_the_same_way(house, teacher):
    """Watched with an API key: attempts that a user key begins and that end by themselves."""
    quiz = await teacher.quiz(time_limit_seconds=1, access_type="private")
    owner = await owner_socket(house, (await teacher.key("owner"))["key"])
    await subscribe(owner, f"quiz:{quiz['id']}")
    user = Rest(house, teacher.http, x_api_key=(await teacher.key("user"))["key"])
    attempt = await user.begin(quiz["id"])
    heard = await frames(owner, 2)
    assert [frame["t"] for frame in heard] == ["attempt_quiz", "attempt_finished"]
    same(heard[1], update("attempt_finished", who(attempt) | {"answered_count": 0, "time_taken_ms": 1000}))


async def test_a_second_answer_to_a_question_is_told_with_the_same_count(house, teacher):
    quiz = await teacher.quiz()
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempt = await teacher.begin(quiz["id"])
    for given in (0, 1):
        await attempt.answer(0, given)
    heard = (await frames(owner, 3))[1:]
    assert [(frame["data"]["answered_count"], frame["data"]["score"]) for frame in heard] == [(1, 0.0), (1, 10.0)]
    assert heard[0]["data"]["answer_id"] != heard[1]["data"]["answer_id"]


async def test_in_mode_on_submit_the_owner_sees_grades_at_once_all_the_same(house, teacher):
    quiz = await teacher.quiz(submission_mode="on_submit")
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempt = await teacher.begin(quiz["id"])
    await attempt.answer(0, 1)
    heard = (await frames(owner, 2))[1]["data"]
    assert (heard["is_correct"], heard["score"]) == (True, 10.0)
