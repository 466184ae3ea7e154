"""The page's twelve scenarios of chat, one after the other."""

import asyncio
import json
import re
import time

import httpx
import pytest

from chat import ID, LONG, NO_APPROVAL, PASSWORD, Person, auth, counts_up, login, seconds, text, types, user
from chat_examples import example


async def test_1_a_login_and_who_is_let_in(house, http, name):
    who = await user(house, http, name("anna"))
    answer = await login(house, who["email"], PASSWORD)
    said = answer.json()
    assert (answer.status_code, said["token_type"], said["expires_in"]) == (200, "bearer", 3600)
    anna = Person(house, http, token=said["access_token"])
    assert (await anna.get("/sessions/"))["total"] == 0
    assert (await login(house, who["email"], PASSWORD + "x")).status_code == 401
    nobody = Person(house, http)
    await nobody.refused("UNAUTHORIZED", "GET", "/sessions/")
    for scheme in (f"Basic {anna.token}", anna.token, "Bearer", f"Token {anna.token}"):
        await nobody.refused("UNAUTHORIZED", "GET", "/sessions/", headers={"authorization": scheme})


async def test_2_a_session_is_made_shown_and_listed(anna):
    body = example("Create Session", "Example Request")
    session = await anna.session(**body)
    assert re.fullmatch("sess" + ID, session.id)
    assert (session.made["status"], session.made["metadata"], session.made["title"]) == ("active", body["metadata"], body["title"])
    shown = await session.look()
    assert shown["message_count"] == 0 and shown == session.made | {"message_count": 0, "updated_at": session.made["created_at"]}
    listed = await anna.get("/sessions/")
    assert [row["id"] for row in listed["data"]] == [session.id]
    assert {name: listed[name] for name in ("total", "page", "page_size", "has_more")} == {
        "total": 1, "page": 1, "page_size": 20, "has_more": False,
    }
    for filters, total in (
        ({"status": "active"}, 1), ({"status": "ended"}, 0), ({"agent_id": body["agent_id"]}, 1), ({"agent_id": "x"}, 0),
        ({"agent_id": body["agent_id"], "status": "ended"}, 0),
    ):
        assert (await anna.get("/sessions/", **filters))["total"] == total, filters


async def test_3_a_question_and_its_answer(anna):
    session = await anna.session()
    said = await session.say("What is 2 + 2?")
    assert (said["role"], said["content"], said["session_id"], said["tool_calls"]) == ("assistant", "2 + 2 = 4", session.id, [])
    usage = said["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"] > 0
    first, second = await session.messages()
    assert (first["role"], first["content"]) == ("user", "What is 2 + 2?")
    assert (second["role"], second["content"], second["id"]) == ("assistant", said["content"], said["message_id"])
    assert (await session.look())["message_count"] == 2


async def test_4_a_stream(anna):
    session = await anna.session()
    source = await (await session.stream("/count 20 20")).head()
    assert (source.status, source.headers["content-type"]) == (200, "text/event-stream")
    assert (source.headers["cache-control"], source.headers["x-accel-buffering"]) == ("no-cache", "no")
    events = await source.rest()
    for event in source.parser.events:
        assert f"data: {event.data}\n\n".encode() in b"".join(data for _, data in source.pieces), "one line and an empty one"
    assert [event["type"] for event in events] == ["content"] * 20 + ["done"]
    times = [at for at, _ in source.pieces]
    assert len(times) > 2 and times[-1] - times[0] > 0.2, "pieces come when they are said"
    last = await session.last()
    assert text(events) == last["content"] and events[-1]["message_id"] == last["id"]
    assert events[-1]["usage"]["total_tokens"] > 0
    shown = await source.again(f"/api/v1{session.path}", anna.token)
    assert shown["message_count"] == 2, "the connection takes the next request"


@pytest.mark.parametrize("by_message", [False, True], ids=["query", "message"])
async def test_5_a_socket(anna, by_message):
    session = await anna.session()
    ear = await session.listen(by_message=by_message)
    ear.say("/count 5 1")
    frames = await ear.answer()
    assert types(frames) == ["message_start", "content_delta", "message_end"] and text(frames).split() == ["1", "2", "3", "4", "5"]
    assert frames[0]["message_id"] == (await session.last())["id"]
    assert frames[-1]["usage"]["total_tokens"] > 0
    await ear.here()


async def test_6_what_comes_with_the_token_in_one_segment(anna):
    session = await anna.session()
    ear = await session.knock()
    ear.send(auth(anna.token), json.dumps({"type": "message", "content": "What is 2 + 2?"}), '{"type":"ping"}')
    frames = await ear.answer()
    pongs = [frame for frame in frames if frame == {"type": "pong"}]
    rest = [frame for frame in frames if frame not in pongs]
    assert len(pongs) == 1 and types(rest) == ["auth_success", "message_start", "content_delta", "message_end"]
    assert (rest[0]["session_id"], text(rest)) == (session.id, "2 + 2 = 4")


async def test_7_a_bad_token_and_rubbish(anna):
    session = await anna.session()
    await (await session.knock("?token=rubbish")).ended("WS_AUTH_FAILED", 1008)
    ear = await session.listen()
    for rubbish in ("rubbish", "[]", "{}", '{"type":7}', '{"type":"nothing"}', '{"type":"message"}', '{"type":"message","content":7}'):
        ear.send(rubbish)
        await ear.error("WS_MESSAGE_INVALID")
    await ear.here()


async def test_8_a_call_that_needs_leave(anna, build, person):
    session = await anna.session(require_approval=True)
    ear = await session.listen()
    ear.say("calculator 6*7")
    asked = await ear.next("approval_required")
    (pending,) = await session.approvals()
    assert (pending["id"], pending["tool_name"], pending["status"]) == (asked["approval_id"], "calculator", "pending")
    assert asked["tool"] == "calculator" and pending["arguments"] == {"expression": "6*7"}
    assert seconds(pending["expires_at"]) - seconds(pending["created_at"]) == 1800
    assert (await session.decide(pending["id"], "approve"))["approved_by"] == anna.email
    frames = await ear.answer()
    assert types(frames) == ["tool_result", "content_delta", "message_end"] and frames[0]["result"] == {"value": 42}
    for action in ("approve", "reject"):
        await anna.refused("APPROVAL_ALREADY_PROCESSED", "POST", session.approval(pending["id"], action))
        await anna.refused("APPROVAL_NOT_FOUND", "POST", session.approval(NO_APPROVAL, action))
    assert await session.approvals() == []

    hasty = await person(build(chat={"approval_expiry": "200ms"})).session(require_approval=True)
    ear = await hasty.listen()
    ear.say("calculator 6*7")
    asked = await ear.next("approval_required")
    frames = await ear.answer()
    assert types(frames) == ["tool_result", "error", "message_end"] and frames[-2]["code"] == "TOOL_APPROVAL_EXPIRED"
    await hasty.by.refused({"APPROVAL_EXPIRED"}, "POST", hasty.approval(asked["approval_id"], "approve"))
    assert await hasty.approvals() == []


async def test_9_a_cancel_in_the_middle(anna):
    session = await anna.session()
    ear = await session.listen()
    ear.say(LONG)
    said = await ear.heard("message_start") + [await ear.next("content_delta") for _ in range(10)]
    ear.cancel()
    frames = await ear.answer()
    assert types(frames) in (["message_end"], ["content_delta", "message_end"]) and "total_tokens" in frames[-1]["usage"]
    await ear.here()
    stored = await session.last()
    assert (stored["status"], stored["content"]) == ("incomplete", text(said + frames)) and counts_up(stored["content"]) < 3000
    ear.say("2 + 2")
    assert text(await ear.answer()) == "2 + 2 = 4"


async def test_10_the_end_of_a_session(anna):
    session = await anna.session()
    ear = await session.listen()
    await session.say("2 + 2")
    await ear.answer()
    ended = await session.end()
    assert ended == {"id": session.id, "status": "ended", "ended_at": ended["ended_at"]}
    assert abs(seconds(ended["ended_at"]) - time.time()) < 60
    await ear.ended("SESSION_ENDED", 1000)
    for route in ("chat", "chat/stream"):
        await session.refused("SESSION_ENDED", route=route)
    await anna.refused("SESSION_ENDED", "POST", f"{session.path}/end")
    assert (await session.look())["status"] == "ended" and len(await session.messages()) == 2
    late = await session.knock(f"?token={anna.token}")
    await late.next("auth_success")
    await late.ended("WS_SESSION_INVALID", 1008)
    assert (await anna.get("/sessions/", status="ended"))["total"] == 1


async def test_11_a_walk_back(pupil):
    session = await pupil.session()
    for first in range(0, 60, 6):
        await asyncio.gather(*(session.say(f"{number} + 0") for number in range(first, first + 6)))
    page = await pupil.get(f"{session.path}/messages")
    pages = [page]
    while page["has_more"]:
        page = await pupil.get(f"{session.path}/messages", before=page["data"][0]["id"])
        pages.insert(0, page)
    assert [len(page["data"]) for page in pages] == [20, 50, 50] and [page["has_more"] for page in pages] == [False, True, True]
    walked = [message for page in pages for message in page["data"]]
    assert len({message["id"] for message in walked}) == 120 and walked == await session.messages()
    assert [message["role"] for message in walked] == ["user", "assistant"] * 60


async def test_12_eleven_sessions_in_a_minute(anna, boris):
    answers = await asyncio.gather(*(anna.ask("POST", "/sessions/", {}) for _ in range(14)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [429] * 4
    refused: httpx.Response = next(answer for answer in answers if answer.status_code == 429)
    said = refused.json()
    assert said == {"error": "RATE_LIMITED", "message": "Too many requests", "retry_after": said["retry_after"]}
    assert 1 <= said["retry_after"] <= 60 and refused.headers["retry-after"] == str(said["retry_after"])
    await boris.session()
    assert (await anna.get("/sessions/"))["total"] == 10
