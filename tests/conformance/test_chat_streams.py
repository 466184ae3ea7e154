"""Answers as server-sent events, read as a browser reads them."""

import asyncio
import json
import re
import socket

import httpx
import pytest
from httpx_sse import aconnect_sse

from chat import counts_up, text, types
from event_source import Parser
from model_stub import called, failing, hanging, said, until


def test_the_parser_is_the_standards():
    """The examples of WHATWG HTML, 9.2.6, whatever the ends of lines and wherever the pieces are cut."""
    body = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
    body += "data\n\ndata\ndata\n\nevent: x\ndata: y\n\ndata:"
    for end in ("\n", "\r", "\r\n"):
        for size in (1, 2, 3, 7, 1000):
            parser, data = Parser(), ("\ufeff" + body.replace("\n", end)).encode()
            for at in range(0, len(data), size):
                parser.feed(data[at:at + size], 0)
            assert [(event.type, event.data, event.last_id) for event in parser.events] == [
                ("message", "first event", "1"), ("message", "second event", ""), ("message", " third event", ""), ("message", "", ""),
                ("message", "\n", ""), ("x", "y", ""),
            ]
            assert [comment for _, comment in parser.comments] == [" test stream"] and not parser.is_between_events


async def test_another_reader_reads_the_same(anna):
    session = await anna.session()
    url = f"{anna.house.chat}/api/v1{session.path}/chat/stream"
    async with httpx.AsyncClient(headers=anna.headers, trust_env=False, verify=False) as client:
        async with aconnect_sse(client, "POST", url, json={"content": "/count 20 5"}) as source:
            source.response.raise_for_status()
            events = [event async for event in source.aiter_sse()]
    assert {event.event for event in events} == {"message"}
    assert counts_up(text([event.json() for event in events])) == 20 and events[-1].json()["type"] == "done"


async def test_what_is_said_may_have_any_character(pupil, stub):
    words = ("line\n", "\r\n\r\n", "data: x\n\n", ": y\n", "\u2028\u2029", "\0\x1b\"\\", "я 🦊", "\ufeff", " " * 1000)
    session = await pupil.session(agent_id="large")
    stub.will(said(*words))
    source = await session.stream("Say it")
    events = await source.rest()
    assert [event["delta"] for event in events[:-1]] == list(words) and (await session.last())["content"] == "".join(words)
    assert len(source.parser.events) == len(words) + 1 and not source.parser.comments


async def test_chat_with_stream_is_a_stream(anna):
    session = await anna.session()
    source = await session.stream("x")
    await source.rest()
    answer = await anna.ask("POST", f"{session.path}/chat", {"content": "2 + 2", "stream": True})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
    assert text(events) == "2 + 2 = 4" and events[-1]["type"] == "done"


async def test_a_stream_with_a_tool(pupil, stub):
    session = await pupil.session(agent_id="large")
    stub.will(called("lookup", {"key": "a"}, words=("Let me see. ",)), said("It is 12."))
    events = await (await session.stream("Look it up")).rest()
    assert types(events) == ["content", "tool_call", "tool_result", "content", "done"]
    assert events[1] == {"type": "tool_call", "tool": "lookup", "args": {"key": "a"}}
    assert events[2] == {"type": "tool_result", "tool": "lookup", "result": [1, 2]}
    assert events[-1]["usage"] == {"prompt_tokens": 14, "completion_tokens": 10, "total_tokens": 24}


async def test_a_stream_goes_on_when_leave_is_given(anna):
    session = await anna.session(require_approval=True)
    source = await session.stream("calculator 6*7")
    while (event := await source.event())["type"] != "approval_required":
        pass
    assert set(event) == {"type", "approval_id", "tool"}
    await session.decide(event["approval_id"], "approve")
    events = await source.rest()
    assert types(events) == ["tool_result", "content", "done"] and events[0]["result"] == {"value": 42}


async def test_streams_of_one_session_come_one_after_the_other(anna):
    session = await anna.session()
    sources = [await session.stream(f"/count {number} 2") for number in (40, 30, 20)]
    told = await asyncio.gather(*(source.rest(30) for source in sources))
    assert sorted(counts_up(text(events)) for events in told) == [20, 30, 40]
    ends = sorted((source.parser.events[0].at, source.parser.events[-1].at) for source in sources)
    assert all(earlier[1] <= later[0] for earlier, later in zip(ends, ends[1:]))


# --- comments


@pytest.fixture
async def impatient(build, stub, person):
    """A session on a server that sends comments often."""
    house = build(chat={"stream_comment": "100ms"}, models=[stub.model("large", attempts=1)])
    return await person(house).session()


async def test_a_stream_is_never_silent_for_long(impatient, stub):
    stub.will(said("One", "two", first_s=2, pace_s=2))
    source = await impatient.stream("Slowly")
    events = await source.rest()
    times = [event.at for event in source.parser.events]
    between = [sum(since < at < until for at, _ in source.parser.comments) for since, until in zip([0, *times], times)]
    assert text(events) == "Onetwo" and types(events) == ["content", "done"]
    assert between[0] >= 5 and between[1] >= 3, "ten a second where the machine lets it, before its first event too"


async def test_what_fails_after_the_first_comment_is_an_event(impatient, stub):
    stub.will(said("never", first_s=2, status=503))
    source = await impatient.stream("Fail")
    events = await source.rest()
    assert source.status == 200 and source.parser.comments
    assert [(event["type"], event["code"]) for event in events] == [("error", "AGENT_UNAVAILABLE")] and set(events[0]) == {
        "type", "code", "message",
    }


# --- what fails


async def test_what_fails_before_the_first_event_is_a_status(pupil, stub):
    session = await pupil.session(agent_id="once")
    stub.will(failing(500))
    source = await session.stream("Fail")
    refusal = await source.refusal()
    assert (source.status, refusal["error"], set(refusal)) == (503, "AGENT_UNAVAILABLE", {"error", "message"})


async def test_what_fails_after_it_is_an_event_and_a_clean_end(pupil, stub):
    session = await pupil.session(agent_id="hasty")
    stub.will(hanging("Once", " upon"))
    source = await session.stream("Tell me a story")
    events = await source.rest()
    assert (source.status, types(events), text(events)) == (200, ["content", "error"], "Once upon")
    assert events[-1]["code"] == "AGENT_TIMEOUT"
    last = await session.last()
    assert (last["content"], last["status"]) == ("Once upon", "incomplete")


# --- who goes, and who does not read


async def test_who_goes_ends_the_answer_and_the_models_request(pupil, stub):
    session = await pupil.session(agent_id="large")
    stub.will(said(*["word "] * 500, pace_s=0.02), said("Again."))
    source = await session.stream("Tell me a story")
    assert [(await source.event())["delta"] for _ in range(2)] == ["word "] * 2
    asked = await stub.request(0)
    assert asked.is_open
    source.leave()
    await asked.gone()
    last = await session.settled()
    assert last["status"] == "incomplete" and 10 <= len(last["content"]) < 2500
    assert (await session.say("Go on"))["content"] == "Again."


@pytest.mark.parametrize("words", [(), ("Once", " upon")], ids=["mute", "stuck"])
async def test_who_goes_while_the_model_is_silent_is_missed_at_the_next_comments(impatient, stub, words):
    stub.will(hanging(*words), said("Again."))
    source = await impatient.stream("Tell me a story")
    assert [(await source.event())["delta"] for _ in words] == list(words)
    asked = await stub.request(0)
    source.leave()
    await asked.gone()
    last = await impatient.settled()
    assert (last["content"], last["status"]) == ("".join(words), "incomplete")
    assert (await impatient.say("Go on"))["content"] == "Again."


async def test_who_goes_while_the_model_is_silent_is_missed_though_no_comment_is_due(build, stub, person):
    house = build(chat={"stream_comment": "1h"}, models=[stub.model("large", attempts=1, next_timeout="10m")])
    session = await person(house).session()
    stub.will(hanging("Once", " upon"), said("Again."))
    source = await session.stream("Tell me a story")
    assert [(await source.event())["delta"] for _ in range(2)] == ["Once", " upon"]
    asked = await stub.request(0)
    source.leave()
    await asked.gone(60)
    assert (await session.settled())["status"] == "incomplete"
    assert (await session.say("Go on"))["content"] == "Again."


async def test_who_goes_while_he_waits_for_his_turn_is_not_answered(impatient, stub):
    stub.will(hanging("Once"), said("Again."))
    ear = await impatient.listen()
    ear.say("Tell me a story")
    await ear.next("content_delta")
    waiting = await (await impatient.stream("And another")).head()
    metrics = f"{impatient.by.house.internal}/metrics"

    def followers() -> list[float]:
        text = httpx.get(metrics, trust_env=False, verify=False).text
        return [float(value) for value in re.findall(r"^homeroom_chat_followers\S* (\d+)", text, re.M)]

    assert sum(followers()) == 1
    waiting.leave()
    await until(lambda: sum(followers()) == 0, 30, "he is still waited for")
    ear.cancel()
    await ear.answer()
    ear.say("Go on")
    assert text(await ear.answer()) == "Again."
    assert [one["content"] for one in await impatient.messages()] == ["Tell me a story", "Once", "Go on", "Again."]


async def test_who_goes_from_an_answer_that_is_no_stream_leaves_it_to_its_end(pupil, stub):
    session = await pupil.session(agent_id="large")
    stub.will(said(*["word "] * 20, pace_s=0.02))
    waiting = asyncio.create_task(session.say("Tell me a story"))
    await stub.request(0)
    waiting.cancel()
    last = await session.settled()
    assert last["content"] == "word " * 20 and "status" not in last


def resident(house) -> int:
    """The server's memory in bytes."""
    with open(f"/proc/{house.process.pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))


async def test_who_does_not_read_is_cut_off_and_nobody_else_feels_it(build, stub, person):
    """An answer of 13 MB, of which nothing is read: far more than the kernels hold between the two."""
    house = build(models=[{"name": "builtin"}, stub.model("large")], chat={"max_answer": "16MiB"}, agents=[
        {"name": "tutor", "model": "builtin"}, {"name": "large", "model": "large"},
    ])
    anna, boris = person(house), person(house, "boris")
    session, other = await anna.session(agent_id="large"), await boris.session()
    await other.say("2 + 2")
    stub.will(said(*["x" * 65_536] * 200, pace_s=0.002))
    before = resident(house)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", house.chat_port))
    body = json.dumps({"content": "Tell me all"}).encode()
    head = [f"POST /api/v1{session.path}/chat/stream HTTP/1.1", "Host: x", f"Authorization: Bearer {anna.token}",
            "Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    deaf.sendall("\r\n".join(head).encode() + body)
    asked = await stub.request(0)
    reader = await other.stream("/count 100 10")
    most = before

    def ended() -> bool:
        nonlocal most
        most = max(most, resident(house))
        return not asked.is_open

    await until(ended, 30, "the slow reader is still served")
    events = await reader.rest(30)
    assert counts_up(text(events)) == 100, "another stream goes on"
    assert asked.over.wait(30)
    last = await session.settled()
    assert last["status"] == "incomplete" and 0 < len(last["content"]) < 13 << 20
    # What the answer is made of stands in memory once; what waits for the reader is at most 256 KiB of it.
    assert most - before < 64 << 20, f"{(most - before) >> 20} MiB more"
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    deaf.settimeout(30)
    heard = b""
    try:
        while data := deaf.recv(1 << 20):
            heard += data
    except ConnectionResetError:
        pass
    deaf.close()
    assert b'"type":"done"' not in heard and not heard.endswith(b"0\r\n\r\n"), "it is broken off, not ended"
    stub.will(said("Again."))
    assert (await session.say("Once more"))["content"] == "Again."


async def test_a_socket_that_does_not_read_is_cut_off_and_nobody_else_feels_it(build, stub, person):
    """What may wait for one is two of the longest answers and a little."""
    house = build(models=[stub.model("large")], chat={"max_answer": "4MiB"})
    session = await person(house).session()
    reader, deaf = await session.listen(), await session.listen()
    deaf.socket.transport.pause_reading()
    stub.always = said(*["x" * 32_768] * 120)
    for _ in range(6):
        reader.say("Tell me all")
        assert len(text(await reader.answer(60))) == 120 * 32_768
    deaf.socket.transport.resume_reading()
    ends = 0
    while (heard := await deaf.socket.next()).kind == "text":
        ends += json.loads(heard.data)["type"] == "message_end"
    assert ends < 6 and (heard.kind == "end" or int.from_bytes(heard.data[:2]) == 1013)
    await reader.here()
