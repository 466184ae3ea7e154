"""Sockets of chat: who is let in, what is answered, one answer after the other, the same for all who listen."""

import asyncio
import json
import uuid

import pytest

from chat import LONG, NO_SESSION, PASSWORD, Person, Session, admin, auth, counts_up, login, signed, text, types, user
from quiz import UPGRADE, knock


def message(content: str) -> str:
    """`message`."""
    return json.dumps({"type": "message", "content": content})


# --- who is let in


async def test_without_a_token_there_is_little_time(build, person):
    session = await person(build(chat={"auth_timeout": "2s"})).session()
    ear = await session.knock()
    ear.send('{"type":"ping"}')
    assert await ear.json() == {"type": "pong"}
    await ear.ended("WS_AUTH_FAILED", 1008)
    assert await (await session.listen(by_message=True)).quiet(2.5) is None


async def test_who_says_anything_before_a_token_is_ended(anna):
    session = await anna.session()
    for said in (message("Hello"), '{"type":"cancel"}', auth("rubbish"), auth("")):
        ear = await session.knock()
        ear.send(said)
        await ear.ended("WS_AUTH_FAILED", 1008)
    ear = await session.knock()
    for rubbish in ('{"type":"auth"}', '{"type":"auth","token":7}', "{", '{"type":"nothing"}'):
        ear.send(rubbish)
        await ear.error("WS_MESSAGE_INVALID")
    ear.send(auth(anna.token))
    await ear.next("auth_success")
    ear.send(auth(anna.token), auth("rubbish"))
    await ear.here()
    assert await session.messages() == []


async def test_sessions_that_are_no_good(anna, boris):
    ended, foreign = await anna.session(), (await boris.session()).of(anna)
    await ended.end()
    no_ids = [Session(anna, {"id": id}) for id in ("sess_1", "x", ended.id.upper())]
    for session in [ended, foreign, Session(anna, {"id": NO_SESSION}), *no_ids]:
        for by_message in (False, True):
            ear = await session.knock("" if by_message else f"?token={anna.token}")
            if by_message:
                ear.send(auth(anna.token), message("Hello"))
            if session not in no_ids:  # which is none has no id that could be told
                assert (await ear.json())["session_id"] == session.id
            await ear.ended("WS_SESSION_INVALID", 1008)
    assert await foreign.of(boris).messages() == []


async def test_an_admin_listens_and_says_nothing(anna, house, http, name):
    session = await anna.session()
    pretender = session.of(Person(house, http, token=signed(house, str(uuid.uuid4()), "head@example.com", "admin")))
    await pretender.by.refused({"SESSION_NOT_FOUND", "UNAUTHORIZED"}, "GET", session.path)
    head = session.of(await admin(house, http, name("head")))
    ear = await head.listen()
    ear.say("Hello")
    await ear.error("SESSION_NOT_FOUND")
    await head.refused("SESSION_NOT_FOUND")
    await head.by.refused("SESSION_NOT_FOUND", "POST", f"{session.path}/end")
    said = await session.say("2 + 2")
    assert text(await ear.answer()) == said["content"]
    assert (await head.look())["message_count"] == 2 and len(await head.messages()) == 2


async def test_who_may_not_any_more_is_sent_away_at_once(agents, http, name):
    who = await user(agents, http, name("anna"))
    anna = Person(agents, http, token=(await login(agents, who["email"], PASSWORD)).json()["access_token"])
    session = await anna.session()
    ears = [await session.listen() for _ in range(3)]
    path = f"{agents.internal}/api/v1/labs/users/{who['username']}"
    (await http.patch(path, json={"active": False})).raise_for_status()
    for ear in ears:
        await ear.ended("WS_AUTH_FAILED", 1008)
    await anna.refused("UNAUTHORIZED", "GET", session.path)


async def test_who_answers_no_ping_is_ended(build, person):
    session = await person(build(chat={"ping_interval": "500ms", "pong_timeout": "3s"})).session()
    silent, good = await session.listen(answers_pings=False), await session.listen()
    assert await silent.close_code() == 1008 and len(silent.socket.pings) >= 1
    await good.quiet(0.5)
    await good.here()
    assert len(good.socket.pings) >= 2


# --- what is said


async def test_messages_that_are_none_leave_it_open(anna):
    ear = await (await anna.session()).listen()
    cases = [("", "MESSAGE_EMPTY"), (" \n ", "MESSAGE_EMPTY"), ("x" * 100_001, "MESSAGE_TOO_LONG")]
    for content, code in cases:
        ear.say(content)
        await ear.error(code)
    for attachments in ({}, "x", [7], [{"name": "a"}], [{"name": "", "data": ""}], [{"name": "a", "data": "?"}]):
        ear.say("Hello", attachments=attachments)
        await ear.error("WS_MESSAGE_INVALID")
    ear.socket.send(b"\x00\x01")
    await ear.error("WS_MESSAGE_INVALID")
    ear.send('{"type":"cancel","operation_id":7}')
    await ear.error("WS_MESSAGE_INVALID")
    ear.send('{"type":"message","content":"2 + 2","unknown":{"a":[1]},"attachments":null}')
    assert text(await ear.answer()) == "2 + 2 = 4"


async def test_messages_wait_for_their_turn(anna):
    session = await anna.session()
    ear = await session.listen()
    ear.say("/count 30 5")
    await ear.next("content_delta")
    for number in range(8):
        ear.say(f"{number} + 1")
    counted = await ear.answer()
    answers = [text(await ear.answer()) for _ in range(8)]
    assert counts_up("1 " + text(counted)) == 30 and answers == [f"{number} + 1 = {number + 1}" for number in range(8)]
    said = await session.messages()
    assert [one["role"] for one in said] == ["user", "assistant"] * 9
    assert [one["content"] for one in said[2::2]] == [f"{number} + 1" for number in range(8)]


async def test_messages_by_http_wait_for_their_turn_too(anna):
    session = await anna.session()
    ear = await session.listen()
    ear.say("/count 20 10")
    await ear.next("content_delta")
    source = await session.stream("1 + 1")
    answers = await asyncio.gather(session.say("2 + 2"), source.rest(), session.say("3 + 3"))
    assert (answers[0]["content"], text(answers[1]), answers[2]["content"]) == ("2 + 2 = 4", "1 + 1 = 2", "3 + 3 = 6")
    assert len(await session.messages()) == 8


async def test_more_than_may_wait_is_refused(build, person):
    session = await person(build(chat={"max_waiting": 2})).session()
    ear = await session.listen()
    ear.say(LONG)
    await ear.next("content_delta")
    for number in range(4):
        ear.say(f"{number} + 1")
    refused = [frame for frame in await ear.heard("error") + await ear.heard("error") if frame["type"] == "error"]
    assert [frame["code"] for frame in refused] == ["RATE_LIMITED"] * 2
    for route in ("chat", "chat/stream"):
        assert (await session.refused("RATE_LIMITED", route=route))["retry_after"] == 1
    ear.cancel()
    await ear.answer()
    assert [text(await ear.answer()) for _ in range(2)] == ["0 + 1 = 1", "1 + 1 = 2"]
    assert len(await session.messages()) == 6


# --- several sockets


async def test_all_who_listen_hear_the_same(pupil):
    session = await pupil.session()
    first, second = pupil.house.two_shards
    ears = [await session.listen(shard) for shard in (first, second, first, second)]
    ears[0].say("/count 40 5")
    for ear in ears:  # whoever came to the session late has heard it from its beginning all the same
        frames = await ear.answer()
        assert types(frames) == ["message_start", "content_delta", "message_end"] and counts_up(text(frames)) == 40
    for speaker in ears:
        speaker.say("calculator 6*7")
        heard = [await ear.answer() for ear in ears]
        assert types(heard[0]) == ["message_start", "tool_call", "tool_result", "content_delta", "message_end"]
        assert all(frames == heard[0] for frames in heard)
    answer = await session.say("What is 2 + 2?")
    assert [text(await ear.answer()) for ear in ears] == [answer["content"]] * 4


async def test_who_comes_in_the_middle_hears_what_was_said_so_far(anna):
    session = await anna.session()
    early = await session.listen()
    early.say("/count 500 10")
    begun = await early.next("message_start")
    for _ in range(10):
        await early.next("content_delta")
    late = await session.listen(house_of(session).two_shards[1])
    frames = await late.answer()
    assert frames[0] == begun and types(frames) == ["message_start", "content_delta", "message_end"]
    assert counts_up(text(frames)) == 500 and len(frames) < 502


def house_of(session: Session):
    """Its server."""
    return session.by.house


async def test_who_goes_leaves_the_answer_to_the_others(anna):
    session = await anna.session()
    speaker, other = await session.listen(), await session.listen()
    speaker.say("/count 40 10")
    await speaker.next("content_delta")
    speaker.socket.abort()
    assert counts_up(text(await other.answer())) == 40
    assert "status" not in await session.last()


async def test_two_sessions_hear_nothing_of_each_other(anna):
    one, other = await anna.session(), await anna.session()
    ear, quiet = await one.listen(), await other.listen()
    ear.say("2 + 2")
    assert text(await ear.answer()) == "2 + 2 = 4"
    await quiet.here()
    await quiet.quiet(0.1)


# --- cancel


async def test_a_cancel_by_name(anna):
    session = await anna.session()
    ear, other = await session.listen(), await session.listen()
    ear.cancel()
    ear.cancel(operation_id="msg_" + "0" * 32)
    await ear.here()
    ear.say(LONG)
    begun = await ear.next("message_start")
    for foreign in ("msg_" + "0" * 32, "x", ""):
        ear.cancel(operation_id=foreign)
    for _ in range(20):
        await ear.next("content_delta")
    await other.next("content_delta")
    other.cancel(operation_id=begun["message_id"])
    for hears in (ear, other):
        frames = await hears.answer()
        assert types(frames)[-1] == "message_end" and "error" not in types(frames)
    await ear.here()
    assert (await session.last())["status"] == "incomplete"


async def test_a_cancel_ends_one_answer_and_what_waits_goes_on(anna):
    session = await anna.session()
    ear = await session.listen()
    ear.say(LONG)
    await ear.next("content_delta")
    ear.say("2 + 2")
    ear.say("3 + 3")
    ear.cancel()
    answers = [text(await ear.answer()) for _ in range(3)]
    assert answers[1:] == ["2 + 2 = 4", "3 + 3 = 6"]
    stored = await session.messages()
    assert [one.get("status") for one in stored] == [None, "incomplete", None, None, None, None]


async def test_who_waits_by_http_for_a_cancelled_answer_gets_it_as_far_as_it_is(anna):
    session = await anna.session()
    ear = await session.listen()
    waiting = asyncio.create_task(session.say(LONG))
    said = await ear.heard("message_start") + [await ear.next("content_delta") for _ in range(5)]
    ear.cancel()
    said += await ear.answer()
    answer = await waiting
    assert (answer["status"], answer["content"]) == ("incomplete", text(said))


# --- the end of a session


async def test_the_end_in_the_middle_of_an_answer(anna):
    session = await anna.session()
    ears = [await session.listen(shard) for shard in house_of(session).two_shards]
    ears[0].say(LONG)
    for ear in ears:
        await ear.next("content_delta")
    ears[0].say("2 + 2")
    await ears[0].here_among("content_delta")
    ended = await session.end()
    assert ended["status"] == "ended"
    for ear in ears:
        frames = await ear.answer()
        assert types(frames)[-1] == "message_end"
        heard = await ear.heard("error")
        assert {frame["code"] for frame in heard} == {"SESSION_ENDED"}
        while (last := await ear.socket.next()).kind == "text":
            assert json.loads(last.data)["code"] == "SESSION_ENDED"
        assert last.kind == "close" and int.from_bytes(last.data[:2]) == 1000
    assert [one.get("status") for one in await session.messages()] == [None, "incomplete"]


@pytest.mark.parametrize("path", ["/ws/sessions", "/ws/sessions/", "/ws/session/x", "/ws/sessions/x/y", "/api/v1/ws/sessions/x"])
async def test_sockets_are_nowhere_else(house, path):
    assert (await knock(house, path, *UPGRADE, port=house.chat_port)).status_code == 404
