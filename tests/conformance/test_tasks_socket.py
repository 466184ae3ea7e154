"""The socket itself: the welcome, the form of messages, what is no message, pings, how it ends."""

import json
import re
import time

import pytest

from quiz import knock
from tasks import NOBODY, SOON, TaskSocket, is_now, upgrade_refused


async def test_the_first_frame_is_the_welcome(clerk):
    since = time.time()
    first, second = await clerk.connect(), await clerk.connect()
    for one in (first, second):
        is_now(one.server_time, since)
        assert re.fullmatch(r"client-\w+", one.client_id)
    assert first.client_id != second.client_id and clerk.user not in first.client_id
    assert await first.waiting() == [] == await second.waiting()


async def test_what_is_said_before_the_welcome_is_answered_after_it(office, clerk):
    """Clients speak as soon as they may; on two shards the welcome comes from another one."""
    for shard in office.house.two_shards:
        early = TaskSocket(await clerk.opened(shard))
        for number in range(3):
            early.say("ping", {"timestamp": number})
        early.socket.send(b"binary")
        early.say("ping", {"timestamp": 3})
        assert await early.heard("connection_established")
        heard = [await early.hear() for _ in range(5)]
        assert heard.pop(3)["data"]["code"] == "invalid_request"
        assert heard == [{"type": "pong", "data": {"timestamp": number}} for number in range(4)]


@pytest.mark.parametrize("rubbish", [
    "", " ", "[]", '"x"', "5", "null", "true", "{}", "{", '{"type":"ping"', '{"type":5}', '{"type":null,"data":{}}', '{"data":{}}',
    '["subscribe",{"channel":"tasks"}]', '{"type":"ping"}{"type":"ping"}', "hello", "{'type': 'ping'}", '{"type":["ping"]}', "\u0000",
    b"", b"\x00\xff", b'{"type":"ping","data":{"timestamp":1}}',
], ids=repr)
async def test_what_is_no_message_is_told_and_the_connection_stays(clerk, rubbish):
    socket = await clerk.connect()
    socket.socket.send(rubbish)
    await socket.refused("invalid_request")
    assert await socket.waiting() == []


@pytest.mark.parametrize(("kind", "data"), [
    ("subscribe", None), ("subscribe", []), ("subscribe", "tasks"), ("subscribe", {}), ("subscribe", {"channel": 5}),
    ("subscribe", {"channel": None}), ("subscribe", {"channel": ["tasks"]}), ("subscribe", {"channel": "task"}),
    ("subscribe", {"channel": "task", "task_id": 5}), ("subscribe", {"channel": "task", "execution_id": NOBODY}),
    ("subscribe", {"channel": "workflow_execution"}), ("subscribe", {"channel": "workflow_execution", "execution_id": {}}),
    ("unsubscribe", None), ("unsubscribe", {}), ("unsubscribe", {"channel": 5}),
    ("cancel_task", None), ("cancel_task", {}), ("cancel_task", {"task_id": 7}), ("cancel_task", [NOBODY]),
    ("execute_agent", None), ("execute_agent", {}), ("execute_agent", {"agent_id": "code-agent"}), ("execute_agent", {"task": "x"}),
    ("execute_agent", {"agent_id": 5, "task": "x"}), ("execute_agent", {"agent_id": "code-agent", "task": ["x"]}),
    ("execute_agent", {"agent_id": "code-agent", "task": "x", "parameters": [1]}),
    ("execute_agent", {"agent_id": "code-agent", "task": "x", "parameters": {"temperature": "hot"}}),
    ("execute_agent", {"agent_id": "code-agent", "task": "x", "model_id": 4}),
    ("dance", None), ("dance", {"with": ["me", {"and": None}], "n": 1.5}), ("", {}), ("Subscribe", {"channel": "tasks"}),
    ("task_update", {"task_id": NOBODY}), ("error", {}),
], ids=repr)
async def test_what_cannot_be_done_is_repeated_in_the_error(clerk, kind, data):
    """The contract shows the echo with a subscription; every other request has it likewise."""
    socket = await clerk.connect()
    socket.say(kind, data)
    await socket.refused("invalid_request", kind, data)
    assert await socket.waiting() == []


@pytest.mark.parametrize(("kind", "data"), [
    ("subscribe", {"channel": "news"}), ("subscribe", {"channel": "Tasks"}), ("subscribe", {"channel": ""}),
    ("subscribe", {"channel": "task", "task_id": "non-existent-task"}), ("subscribe", {"channel": "task", "task_id": "task-123"}),
    ("subscribe", {"channel": "task", "task_id": ""}), ("subscribe", {"channel": "task", "task_id": NOBODY}),
    ("subscribe", {"channel": "task", "task_id": "ü\"\\/\u0000 x" * 50, "more": {"a": [1, None]}}),
    ("subscribe", {"channel": "workflow_execution", "execution_id": "execution-123"}),
    ("subscribe", {"channel": "workflow_execution", "execution_id": NOBODY}),
], ids=lambda given: repr(given)[:60])
async def test_what_cannot_be_subscribed_to(office, clerk, kind, data):
    for shard in office.house.two_shards:
        socket = await clerk.connect(shard)
        socket.say(kind, data)
        await socket.refused("invalid_subscription", kind, data)
        assert await socket.waiting() == []


async def test_the_echo_is_what_was_said_letter_by_letter(clerk):
    """Numbers that no float holds, escapes and white space too: a client compares it with what it sent."""
    socket = await clerk.connect()
    data = '{"channel" : "n\\u0065ws", "n":1.50, "big":123456789012345678901234567890, "e":[1E3,-0.0]}'
    socket.socket.send(f'{{"data":{data},  "type":"s\\u0075bscribe"}}')
    text = await socket.socket.text(SOON)
    assert data in text and json.loads(text)["data"]["request_type"] == "subscribe", text


async def test_what_a_message_has_beside_is_nobodys_fault(clerk):
    socket = await clerk.connect()
    socket.socket.send(' \n{"id":7,"data":{"x":[],"channel":"system_status"},"type":"\\u0073ubscribe","type2":1}\t')
    await socket.heard("system_status_update")
    socket.socket.send_parts(b'{"type":"ping","da', b'ta":{"timesta', b'mp":"x"}}')
    assert await socket.heard("pong") == {"timestamp": "x"}


async def test_what_nobody_subscribed_to_is_unsubscribed_from_in_silence(clerk):
    socket = await clerk.connect()
    for which in (
        {"channel": "tasks"}, {"channel": "system_status"}, {"channel": "task", "task_id": "task-123"},
        {"channel": "task", "task_id": NOBODY}, {"channel": "workflow_execution", "execution_id": NOBODY},
    ):
        socket.say("unsubscribe", which)
    assert await socket.waiting() == []


@pytest.mark.parametrize("timestamp", ["2025-03-01T12:01:00Z", "yesterday", 5, 1.25, None, {"a": [1]}, True], ids=repr)
async def test_a_clients_ping_is_answered_with_its_own_timestamp(clerk, timestamp):
    socket = await clerk.connect()
    socket.say("ping", {"timestamp": timestamp})
    assert await socket.heard("pong") == {"timestamp": timestamp}


async def test_a_ping_of_websocket_is_answered_as_always(clerk):
    socket = await clerk.connect()
    socket.socket.ping(b"marco")
    await socket.waiting()
    assert [pong.data for pong in socket.socket.pongs] == [b"marco"]


async def test_pongs_are_taken_whatever_they_say(clerk):
    socket = await clerk.connect()
    for data in (None, {}, [], "x", {"timestamp": 5}, {"timestamp": "2025-03-01T12:01:00Z"}):
        socket.say("pong", data)
    assert await socket.waiting() == []


async def test_a_message_that_is_too_large_ends_the_connection(office, clerk):
    """And nobody else's: the reason is told before the Close."""
    socket, other = await clerk.connect(), await clerk.connect()
    socket.say("ping", {"timestamp": "x" * (1 << 20)})
    await socket.closed("message_too_large", 1009)
    socket = await clerk.connect()
    socket.socket.send_parts(b'{"type":"ping","data":{"timestamp":"', *[b"x" * (1 << 16)] * 16, b'"}}')
    await socket.closed("message_too_large", 1009)
    assert await other.waiting() == []
    assert office.house.process.poll() is None


async def test_what_is_large_and_not_too_large_is_answered(clerk):
    socket = await clerk.connect()
    large = "x" * 100_000
    socket.say("ping", {"timestamp": large})
    assert await socket.heard("pong") == {"timestamp": large}
    socket.say("dance", {"long": large})
    await socket.refused("invalid_request", "dance", {"long": large})


@pytest.mark.parametrize(("raw", "code"), [
    (b"\x81\x85\x00\x00\x00\x00\xff\xfe\xfd\xfc\xfb", 1007), (b"\x81\x02{}", 1002), (b"\x83\x80\x00\x00\x00\x00", 1002),
    (b"\xc1\x80\x00\x00\x00\x00", 1002),
], ids=["not utf-8", "not masked", "no opcode", "reserved bit"])
async def test_what_is_no_websocket_ends_the_connection(clerk, raw, code):
    """Whatever is said before, the Close has the code of the fault."""
    socket, other = await clerk.connect(), await clerk.connect()
    socket.socket.raw(raw)
    await socket.heard("connection_closed")
    assert await socket.socket.close_code(SOON) == code
    assert await other.waiting() == []


async def test_a_close_is_answered(clerk):
    socket = await clerk.connect()
    socket.socket.say_close(1000)
    assert await socket.socket.close_code(SOON) == 1000


async def test_other_paths_are_none_of_its(office, clerk):
    for path in ("/ws/tasks", "/wss", "/api/v1/ws"):
        answer = await knock(office.house, f"{path}?token={clerk.token}", "Connection: close", port=office.house.chat_port)
        assert answer.status_code == 404, path
    answer = await knock(office.house, f"/ws?token={clerk.token}", "Connection: close", port=office.house.chat_port)
    assert answer.status_code in (400, 426), "it is for WebSocket"
    assert set(json.loads(answer.body)) == {"detail"}
    assert await upgrade_refused(office.house, "/ws")


# --- pings and silence, in servers of their own


async def test_pings_come_in_the_set_interval_and_who_answers_stays(build_office):
    office = build_office(tasks={"ping_interval": "500ms", "inactivity_timeout": "6s"})
    since = time.monotonic()
    socket = await office.person().connect()
    for number in range(1, 7):
        ping = await pinged(socket)
        assert time.monotonic() - since >= number * 0.5
        socket.say("pong", ping)
    assert await socket.waiting() == []


async def pinged(socket: TaskSocket) -> dict:
    """The next frame, which must be a ping."""
    message = await socket.socket.json(SOON)
    assert message["type"] == "ping" and set(message["data"]) == {"timestamp"}, message
    is_now(message["data"]["timestamp"], time.time() - 30)
    return message["data"]


async def test_a_silent_client_is_told_that_its_session_timed_out(build_office):
    """WebSocket's own Pings are answered by the client's library all the while; the reason comes before the Close."""
    office = build_office(tasks={"ping_interval": "900ms", "inactivity_timeout": "3s"})
    since = time.monotonic()
    socket = await office.person().connect()
    socket.answers_pings = False
    said = await socket.closed("session_timeout", 1000)
    assert time.monotonic() - since >= 3 and 1 <= len(socket.pings) <= 3
    assert said["message"] == "Session timed out after 3 seconds of inactivity"


async def test_who_only_listens_and_answers_pings_stays_and_hears(build_office):
    office = build_office(tasks={"ping_interval": "1s", "inactivity_timeout": "6s"})
    clerk = office.person()
    listener = await clerk.connect()
    listener.subscribe("tasks")
    since = time.monotonic()
    while time.monotonic() - since < 8:
        ping = await pinged(listener)
        listener.say("pong", ping)
    made = await clerk.make()
    assert (await listener.heard("task_update"))["task_id"] == made["id"]


async def test_who_does_not_answer_pings_is_let_go_where_that_is_set(build_office):
    office = build_office(tasks={"ping_interval": "300ms", "pings_missed": 2})
    socket = await office.person().connect()
    socket.answers_pings = False
    message = await socket.hear()
    assert message["type"] == "connection_closed" and message["data"]["reason"] == "ping_timeout", message
    assert len(socket.pings) == 2
    assert await socket.socket.close_code(SOON) == 1008


async def test_a_task_that_goes_on_is_no_activity_of_the_client(build_office):
    """What the server sends does not keep a client that is gone and has not said so."""
    office = build_office(tasks={"ping_interval": "10s", "inactivity_timeout": "3s"})
    socket = await office.person().connect()
    socket.say("execute_agent", {"agent_id": "code-agent", "task": "/count 900 10"})
    while (message := await socket.hear())["type"] == "task_update":
        pass
    assert message == {"type": "connection_closed", "data": message["data"]} and message["data"]["reason"] == "session_timeout"
    assert await socket.socket.close_code(SOON) == 1000


async def test_a_stop_is_told_before_the_close(build_office):
    office = build_office()
    clerk = office.person()
    sockets = [await clerk.connect(shard) for shard in office.house.two_shards]
    office.house.signal()
    for socket in sockets:
        await socket.closed("server_shutdown", 1012)
    await office.has_stopped()


