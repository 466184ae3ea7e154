"""Flags over REST: what a batch may hold, the timeline, the summary, and until when they are taken."""

import asyncio
import time

import pytest

from quiz import Owner, frames, is_true_soon, listed, round_trip, same


async def test_flags_are_stored_in_upper_case_and_told_once(house, teacher):
    quiz = await teacher.quiz()
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempt = await teacher.begin(quiz["id"])
    question = quiz["questions"][0]["id"]
    told = await attempt.make(f"{attempt.path}/flags", {"flags": [
        {"label": "tab_switch", "detail": {"from": "quiz", "n": [1, 2.5, None]}, "question_id": question,
         "occurred_at": "2026-06-11T16:30:00+02:00"},
        {"label": "TAB_SWITCH", "detail": "a text"}, {"label": "clipboard", "detail": None}, {"label": "Copy-paste.v2:x9"},
    ]})
    assert list(told) == ["labels", "flagged_at"]
    assert told["labels"] == ["TAB_SWITCH", "CLIPBOARD", "COPY-PASTE.V2:X9"]
    frame = (await frames(owner, 2))[1]
    assert (frame["t"], frame["data"]["labels"], frame["data"]["flagged_at"]) == ("attempt_flagged", told["labels"], told["flagged_at"])
    assert "detail" not in str(frame) and await round_trip(owner) == []
    timeline = listed(await teacher.get(f"/attempts/{attempt.id}/flags"))
    now = told["flagged_at"]
    same(timeline[0], {
        "label": "TAB_SWITCH", "detail": {"from": "quiz", "n": [1, 2.5, None]}, "question_id": question,
        "occurred_at": "2026-06-11T14:30:00+00:00", "flagged_at": now,
    })
    same(timeline[1], {"label": "TAB_SWITCH", "detail": "a text", "question_id": None, "occurred_at": now, "flagged_at": now})
    assert [(flag["label"], flag["detail"]) for flag in timeline[2:]] == [("CLIPBOARD", None), ("COPY-PASTE.V2:X9", None)]
    row = (await teacher.attempts(quiz_id=quiz["id"]))[0]
    assert row["flags_count"] == 4


RESERVED = ["SUBMITTED", "submitted", "Time_Up", "TIME_UP", "forced_by_owner", "SYSTEM", "SYSTEM_CLOCK", "system:x", "Systematic"]
BAD_FLAGS = [
    {}, [], {"flags": []}, {"flags": None}, {"flags": "x"}, {"flags": [{"label": "x"}] * 21}, {"flags": [{}]}, {"flags": ["x"]},
    {"flags": [{"label": ""}]}, {"flags": [{"label": "x" * 51}]}, {"flags": [{"label": "two words"}]}, {"flags": [{"label": "жалоба"}]},
    {"flags": [{"label": "a/b"}]}, {"flags": [{"label": 7}]}, {"flags": [{"label": "x", "detail": "x" * 1023}]},
    {"flags": [{"label": "x", "detail": {"a": "я" * 512}}]}, {"flags": [{"label": "x", "question_id": "first"}]},
    {"flags": [{"label": "x", "occurred_at": "yesterday"}]}, {"flags": [{"label": "x", "occurred_at": 1_800_000_000}]},
    *({"flags": [{"label": "fine"}, {"label": label}]} for label in RESERVED),
]


@pytest.mark.parametrize("body", BAD_FLAGS, ids=range(len(BAD_FLAGS)))
async def test_flags_that_are_not_as_they_must_be_are_refused_whole(house, teacher, body):
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    await attempt.refused("VAL-001", "POST", f"{attempt.path}/flags", body)
    assert listed(await teacher.get(f"/attempts/{attempt.id}/flags")) == []


async def test_flags_at_their_bounds_are_taken(house, teacher):
    attempt = await teacher.begin((await teacher.quiz())["id"])
    labels = [f"L{index}" for index in range(20)]
    assert (await attempt.flag(*labels))["labels"] == labels
    assert (await attempt.flag("x" * 50, detail="x" * 1022))["labels"] == ["X" * 50]
    assert (await attempt.flag("time_up_soon", "not_SYSTEM", "_", "-", ".", ":", "9"))["labels"][0] == "TIME_UP_SOON"


async def test_an_attempt_has_at_most_three_hundred_flags(house, teacher):
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    for _ in range(14):
        await attempt.flag(*["x"] * 20)
    await attempt.flag(*["y"] * 19)
    await attempt.refused("FLAG-001", "POST", f"{attempt.path}/flags", {"flags": [{"label": "z"}] * 2})
    await attempt.flag("last")
    await attempt.refused("FLAG-001", "POST", f"{attempt.path}/flags", {"flags": [{"label": "z"}]})
    pages = [await teacher.get(f"/attempts/{attempt.id}/flags", offset=offset, limit=200) for offset in (0, 200)]
    assert [page["total"] for page in pages] == [300, 300]
    assert [flag["label"] for page in pages for flag in page["items"]] == ["X"] * 280 + ["Y"] * 19 + ["LAST"]
    same(await teacher.get(f"/quizzes/{quiz['id']}/flags/summary"), {"flags": 300, "attempts": 1, "labels": [
        {"label": label, "flags": flags, "attempts": 1} for label, flags in (("X", 280), ("Y", 19), ("LAST", 1))
    ]})


async def test_the_summary_counts_flags_and_attempts(house, teacher):
    quiz, other = await teacher.quiz(), await teacher.quiz()
    assert await teacher.get(f"/quizzes/{quiz['id']}/flags/summary") == {"flags": 0, "attempts": 0, "labels": []}
    first, second = [await teacher.begin(quiz["id"]) for _ in range(2)]
    await first.flag("a", "a", "b")
    await first.flag("A")
    await second.flag("a")
    await (await teacher.begin(other["id"])).flag("c")
    summary = await teacher.get(f"/quizzes/{quiz['id']}/flags/summary")
    assert list(summary) == ["flags", "attempts", "labels"] and (summary["flags"], summary["attempts"]) == (5, 2)
    assert sorted(summary["labels"], key=lambda row: row["label"]) == [
        {"label": "A", "flags": 4, "attempts": 2}, {"label": "B", "flags": 1, "attempts": 1},
    ]


async def test_flags_are_taken_for_a_while_after_the_end(build, http, name):
    house = build(quiz={"flags_after_end": "4s"})
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz()
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempt = await teacher.begin(quiz["id"])
    ended = time.monotonic()
    await attempt.submit()
    await attempt.flag("late")
    assert [frame["t"] for frame in await frames(owner, 3)] == ["attempt_quiz", "attempt_finished", "attempt_flagged"]

    async def refused():
        await asyncio.sleep(0.2)
        answer = await attempt.ask("POST", f"{attempt.path}/flags", {"flags": [{"label": "later"}]})
        assert answer.status_code == 201 or answer.json()["code"] == "ATT-001", answer.text
        return answer.status_code != 201

    await is_true_soon(refused)
    assert 4 <= time.monotonic() - ended <= 15
    labels = [flag["label"] for flag in listed(await teacher.get(f"/attempts/{attempt.id}/flags", limit=200))]
    assert labels[0] == "LATE" and set(labels[1:]) == {"LATER"}


async def test_by_default_flags_are_still_taken_after_the_end(house, teacher):
    attempt = await teacher.begin((await teacher.quiz())["id"])
    await attempt.submit()
    assert (await attempt.flag("late"))["labels"] == ["LATE"]
