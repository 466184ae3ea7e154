"""What chat has on disk: writes that fail are told and undone, and an answer that the process did not survive is marked."""

import asyncio
import contextlib
import json
import signal
import time

import h11
import pytest

import database
from chat import LONG, counts_up, text, types
from model_stub import called, hanging, said


@contextlib.contextmanager
def refusing(house, table: str):
    """Nothing can be written into a table meanwhile."""
    beside = database.beside(house)
    try:
        for action in ("INSERT", "UPDATE"):
            beside.refuse(f"no_{action}", f"{action} ON {table}")
        yield
        for action in ("INSERT", "UPDATE"):
            beside.allow(f"no_{action}", table)
    finally:
        beside.close()


# --- writes that fail


async def test_a_session_that_cannot_be_stored(build, person):
    anna = person(build())
    with refusing(anna.house, "chat_session"):
        await anna.refused("SESSION_CREATE_FAILED", "POST", "/sessions/", {})
        assert (await anna.get("/sessions/"))["total"] == 0
    session = await anna.session()
    with refusing(anna.house, "chat_session"):
        await anna.refused("SESSION_UPDATE_FAILED", "POST", f"{session.path}/end")
        assert (await session.look())["status"] == "active"
    assert (await session.end())["status"] == "ended"


async def test_a_message_that_cannot_be_stored(build, person):
    session = await person(build()).session()
    ear = await session.listen()
    await ear.here()
    with refusing(session.by.house, "chat_message"):
        for route in ("chat", "chat/stream"):
            await session.refused("MESSAGE_SEND_FAILED", route=route)
        ear.say("Hello")
        await ear.error("MESSAGE_SEND_FAILED")
        assert await session.messages() == []
    ear.say("2 + 2")
    assert text(await ear.answer()) == "2 + 2 = 4"
    assert len(await session.messages()) == 2 and (await session.look())["message_count"] == 2


async def test_a_decision_that_cannot_be_stored(build, person):
    session = await person(build()).session(require_approval=True)
    waiting = (await session.say("calculator 6*7"))["tool_calls"][0]["approval_id"]
    ear = await session.listen()
    await ear.next("approval_required")
    with refusing(session.by.house, "chat_approval"):
        await session.by.refused("SESSION_UPDATE_FAILED", "POST", session.approval(waiting, "approve"))
        assert [one["id"] for one in await session.approvals()] == [waiting]
        await ear.here()
    await session.decide(waiting, "approve")
    assert types(await ear.answer()) == ["tool_result", "content_delta", "message_end"]


async def test_an_answer_whose_end_cannot_be_stored_is_told_once_and_stored_later(build, person):
    session = await person(build()).session()
    ear = await session.listen()
    ear.say("/count 250 20")
    await ear.next("content_delta")
    with refusing(session.by.house, "chat_message"):
        frames = await ear.answer()
        assert types(frames) == ["content_delta", "error", "message_end"] and frames[-2]["code"] == "MESSAGE_SEND_FAILED"
        assert (await session.last())["status"] == "streaming"
    ear.say("2 + 2")
    assert text(await ear.answer()) == "2 + 2 = 4"
    counted = (await session.messages())[1]
    assert counts_up(counted["content"]) == 250 and "status" not in counted


async def test_a_session_that_cannot_be_read_sends_sockets_away_for_now(build, person):
    session = await person(build()).session()
    beside = database.beside(session.by.house)
    beside.execute("ALTER TABLE chat_session RENAME TO chat_session_elsewhere")
    ear = await session.knock(f"?token={session.by.token}")
    await ear.next("auth_success")
    await ear.ended("WS_CONNECTION_CLOSED", 1013)
    await session.by.refused("INTERNAL_ERROR", "GET", session.path)
    await session.by.refused("INTERNAL_ERROR", "GET", "/sessions/")
    beside.execute("ALTER TABLE chat_session_elsewhere RENAME TO chat_session")
    beside.close()
    await (await session.listen()).here()


async def test_a_store_that_has_no_time_is_busy(build, person):
    # Who asks again at once, and is refused at once, soon asks more often than one may.
    session = await person(build(store={"acquire_timeout": "2s"}, limits={"messages_a_second": 0})).session()
    ear = await session.listen()
    await ear.here()
    with database.held(session.by.house, reads=True):
        ear.send('{"type":"ping"}')
        assert await ear.json() == {"type": "pong"}
        await session.refused("MESSAGE_SEND_FAILED")
    # What comes while it still has not done its part is refused at once; and what was refused may have been kept, and is answered.
    said, late = "", time.monotonic() + 60
    while said != "2 + 2 = 4":
        assert time.monotonic() < late, said
        ear.say("2 + 2")
        frames = [await ear.json()]
        while frames[-1]["type"] not in ("message_end", "error"):
            frames.append(await ear.json())
        said = text(frames)


# --- the end of the process


async def test_sigterm_in_the_middle_of_answers_ends_them_for_everyone(build, stub, person):
    house = build(stop={"drain": "6s"}, models=[{"name": "builtin"}, stub.model("large")], agents=[
        {"name": "tutor", "model": "builtin"}, {"name": "large", "model": "large"},
    ])
    anna = person(house)
    watched, streamed, awaited = [await anna.session(agent_id=agent) for agent in ("large", "tutor", "tutor")]
    stub.will(hanging("Once", " upon"))
    ears = [await watched.listen(shard) for shard in house.two_shards]
    ears[0].say("Tell me a story")
    for ear in ears:
        await ear.next("content_delta")
    source = await streamed.stream(LONG)
    await source.event()
    waiting = asyncio.create_task(awaited.refused("AGENT_UNAVAILABLE", LONG))
    while len(await awaited.messages()) < 2:
        await asyncio.sleep(0.01)
    house.signal(signal.SIGTERM)
    for ear in ears:
        frames = await ear.answer()
        assert types(frames)[-2:] == ["error", "message_end"] and frames[-2]["code"] == "AGENT_UNAVAILABLE"
    events = await source.rest()
    assert events[-1]["code"] == "AGENT_UNAVAILABLE" and counts_up("1 " + text(events)) < 3000
    assert (await waiting)["error"] == "AGENT_UNAVAILABLE"
    await stub.asked[0].gone()
    # It is still served through the drain, and nothing more is begun.
    assert [one.get("status") for one in await watched.messages()] == [None, "incomplete"]
    await watched.refused("AGENT_UNAVAILABLE")
    ears[0].say("Once more")
    await ears[0].error("AGENT_UNAVAILABLE")
    for ear in ears:
        assert await ear.close_code() == 1012
    assert await asyncio.to_thread(house.process.wait, 60) == 0
    await asyncio.to_thread(house.start)
    for session, said_then in ((watched, "Once upon"), (streamed, None), (awaited, None)):
        last = await session.last()
        assert last["status"] == "incomplete" and last["content"] == (said_then or last["content"])
        assert (await session.look())["message_count"] == 2
    stub.will(said("Again."))
    assert (await watched.say("Go on"))["content"] == "Again."


async def test_sigkill_in_the_middle_of_answers_leaves_nothing_stuck(build, stub, person):
    house = build(models=[{"name": "builtin"}, stub.model("large")], agents=[
        {"name": "tutor", "model": "builtin"}, {"name": "large", "model": "large"},
    ])
    anna = person(house)
    watched, streamed = await anna.session(agent_id="large"), await anna.session()
    asking = await anna.session(require_approval=True, agent_id="large")
    stub.will(hanging("Once"), called("calculator", {"expression": "1"}))
    ear = await watched.listen()
    ear.say("Tell me a story")
    await ear.next("content_delta")
    source = await streamed.stream(LONG)
    await source.event()
    waiting = asyncio.create_task(asking.by.ask("POST", f"{asking.path}/chat", {"content": "Write"}))
    await waiting
    await asyncio.to_thread(house.kill)
    while (heard := await ear.socket.next()).kind == "text":
        assert json.loads(heard.data)["type"] == "content_delta"
    assert heard.kind == "end"
    with pytest.raises((h11.RemoteProtocolError, OSError)):
        await source.rest()
    await stub.asked[0].gone()
    await asyncio.to_thread(house.start)
    for session in (watched, streamed):
        first, last = await session.messages()
        assert (first["role"], last["role"], last["status"]) == ("user", "assistant", "incomplete")
        assert (await session.look())["message_count"] == 2
    assert await asking.approvals() == []
    for session in (watched, asking):
        stub.will(said("Again."))
        assert (await session.say("Go on"))["content"] == "Again."


async def test_a_question_for_leave_that_the_process_did_not_survive_has_expired(build, person):
    anna = person(build())
    for end in ("stop", "kill"):
        session = await anna.session(require_approval=True)
        waiting = (await session.say("calculator 6*7"))["tool_calls"][0]["approval_id"]
        await asyncio.to_thread(getattr(anna.house, end))
        await asyncio.to_thread(anna.house.start)
        assert await session.approvals() == []
        for action in ("approve", "reject"):
            await anna.refused({"APPROVAL_EXPIRED", "APPROVAL_NOT_FOUND"}, "POST", session.approval(waiting, action))
        assert (await session.last())["status"] == "incomplete"


async def test_what_was_acknowledged_is_there_after_sigkill(build, person):
    """Several users talk; then the process is gone in the middle."""
    house = build()
    people = [person(house, f"p{number}") for number in range(4)]
    sessions = [await one.session() for one in people]
    answered: dict[str, list[str]] = {session.id: [] for session in sessions}

    async def talks(session):
        for number in range(50):
            answered[session.id].append((await session.say(f"{number} + 1"))["content"])

    tasks = [asyncio.create_task(talks(session)) for session in sessions]
    while sum(map(len, answered.values())) < 24:
        await asyncio.sleep(0.005)
    house.kill()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(house.start)
    for session in sessions:
        messages = await session.messages()
        assert [one["role"] for one in messages] == ["user", "assistant"] * (len(messages) // 2)
        whole = [one["content"] for one in messages[1::2] if "status" not in one]
        assert whole[:len(answered[session.id])] == answered[session.id] and len(whole) <= len(answered[session.id]) + 1
        assert [one["status"] for one in messages if "status" in one] in ([], ["incomplete"])
        assert (await session.look())["message_count"] == len(messages)
        assert (await session.say("2 + 2"))["content"] == "2 + 2 = 4"
