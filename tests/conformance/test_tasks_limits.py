"""The three limits, each exact: connections of a user over all shards, messages of a connection in a minute, its subscriptions."""

import asyncio
import random
import subprocess
import sys
import time
import tomllib

import pytest

from house import BINARY
from quiz import is_true_soon
from tasks import NOBODY, SOON, Person, TaskSocket, checked

MOST = 10
LONG = "/count 10000 50"  # is not over before somebody ends it


async def tried(clerk: Person) -> tuple[TaskSocket, bool]:
    """A connection and whether it was welcomed; one that was not has been told why, and has ended."""
    made = TaskSocket(await clerk.opened())
    first = checked(await made.socket.json(SOON))
    if first["type"] == "connection_established":
        made.client_id = first["data"]["client_id"]
        return made, True
    assert (first["type"], first["data"]["code"]) == ("error", "rate_limit_exceeded"), first
    assert "10" in first["data"]["message"] and set(first["data"]) == {"code", "message"}
    await made.closed("rate_limit_exceeded", 1008)
    return made, False


async def at_once(clerk: Person, count: int) -> list[TaskSocket]:
    """So many connections at the same time, over all shards as the kernel deals them; those that were welcomed."""
    made = await asyncio.gather(*(tried(clerk) for _ in range(count)))
    return [socket for socket, is_welcome in made if is_welcome]


async def one_more(clerk: Person) -> TaskSocket:
    """Exactly one more is taken, as soon as the server has seen that another has gone."""

    async def taken():
        socket, is_welcome = await tried(clerk)
        return socket if is_welcome else None

    socket = await is_true_soon(taken, SOON)
    assert await at_once(clerk, 2) == []
    return socket


async def test_of_eleven_connections_at_once_exactly_one_is_refused(office, clerk):
    sockets = await at_once(clerk, MOST + 1)
    assert len(sockets) == MOST
    assert len({socket.client_id for socket in sockets}) == MOST
    other = office.person()
    assert len(await at_once(other, 3)) == 3, "another user is not counted with them"
    for socket in sockets:
        assert await socket.waiting() == [], "who was there is not disturbed"


async def test_tokens_do_not_matter_and_refused_ones_are_not_counted(office, clerk):
    again = [office.person(clerk.user) for _ in range(3)]
    sockets = [(await tried(again[number % 3]))[0] for number in range(MOST)]
    assert await at_once(clerk, 5) == [] == await at_once(again[0], 5)
    await sockets[3].socket.leave()
    await one_more(clerk)


@pytest.mark.parametrize("way", ["a Close", "the end of its TCP stream", "a reset", "a limit of its own", "rubbish"])
async def test_who_goes_in_whatever_way_makes_room_for_exactly_one(clerk, way):
    sockets = await at_once(clerk, MOST)
    assert len(sockets) == MOST and await at_once(clerk, 1) == []
    leaver = sockets.pop(random.randrange(MOST))
    match way:
        case "a Close":
            await leaver.socket.leave()
        case "the end of its TCP stream":
            leaver.socket.abort()
        case "a reset":
            leaver.reset()
        case "a limit of its own":
            for _ in range(101):
                leaver.say("ping", {"timestamp": 0})
        case "rubbish":
            leaver.socket.raw(b"\x83\x80\x00\x00\x00\x00")
    sockets.append(await one_more(clerk))
    for socket in sockets:
        assert await socket.waiting() == []


async def test_who_is_killed_makes_room_for_exactly_as_many(clerk):
    """A process with four connections dies by SIGKILL: its kernel alone says so."""
    program = """
import asyncio, sys
async def main(host, port, path):
    for _ in range(4):
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.77", 0))
        writer.write((f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n"
                      "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n").encode())
        await reader.readuntil(b"connection_established")
        kept.append(writer)
    print("here", flush=True)
    await asyncio.sleep(3600)
kept = []
asyncio.run(main(*sys.argv[1:]))
"""
    where = ("127.0.0.1", str(clerk.house.chat_port), f"/ws?token={clerk.token}")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, *where, stdout=asyncio.subprocess.PIPE)
    try:
        assert await asyncio.wait_for(process.stdout.readline(), SOON) == b"here\n"
        assert len(await at_once(clerk, MOST - 4 + 3)) == MOST - 4
    finally:
        process.kill()
        await process.wait()
    taken = []

    async def are_taken():
        taken.extend(await at_once(clerk, 1))
        return len(taken) == 4

    await is_true_soon(are_taken, SOON)
    assert await at_once(clerk, 3) == []


async def test_however_many_come_and_go_ten_are_taken(clerk):
    """Thirty at a time, some of whom leave at once: nobody is counted who is gone, and nobody is here who is not counted."""
    here: list[TaskSocket] = []
    for _ in range(4):
        here += await at_once(clerk, 30)
        assert len(here) <= MOST
        for _ in range(random.randrange(len(here) + 1)):
            leaver = here.pop(random.randrange(len(here)))
            random.choice([leaver.socket.abort, leaver.reset, leaver.socket.say_close])()

    async def is_full():
        here.extend(await at_once(clerk, 3))
        return len(here) == MOST

    await is_true_soon(is_full, SOON)
    assert await at_once(clerk, 3) == []
    for socket in here:
        assert await socket.waiting() == []


def test_the_limits_are_the_contracts_where_nothing_else_is_set(tmp_path):
    """The tests of time have others; those of number are against these."""
    said = subprocess.run([BINARY, "print-config"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    own = tomllib.loads(said)["tasks"]
    expected = {
        "max_connections": 10, "messages_a_minute": 100, "max_subscriptions": 50, "ping_interval": "30s", "inactivity_timeout": "30m",
    }
    assert {name: own[name] for name in expected} == expected


# --- messages


async def test_a_hundred_messages_are_fine_and_the_next_is_too_many(clerk):
    socket, other = await clerk.connect(), await clerk.connect()
    for number in range(101):
        socket.say("ping", {"timestamp": number})
    for number in range(100):
        assert await socket.heard("pong") == {"timestamp": number}
    assert "100" in await socket.exceeded()
    assert await other.waiting() == [], "each connection is counted by itself"


async def test_every_message_counts_but_pongs(clerk):
    socket = await clerk.connect()
    kinds = ['{"type":"dance"}', "rubbish", b"binary", '{"type":"unsubscribe","data":{"channel":"tasks"}}']
    for number in range(100):
        socket.socket.send(kinds[number % 4])
        for _ in range(2):
            socket.say("pong", {"timestamp": "x"})
        if number % 4 != 3:
            await socket.refused(*(("invalid_request", "dance") if number % 4 == 0 else ("invalid_request",)))
    for _ in range(300):
        socket.say("pong")
    socket.socket.ping(b"still here")

    async def has_answered():
        return [pong.data for pong in socket.socket.pongs] == [b"still here"]

    await is_true_soon(has_answered, SOON)
    socket.say("unsubscribe", {"channel": "tasks"})
    assert "100" in await socket.exceeded()


async def test_what_comes_behind_the_one_too_many_is_not_done(clerk):
    socket = await clerk.connect()
    for _ in range(101):
        socket.say("ping", {"timestamp": 0})
    socket.say("execute_agent", {"agent_id": "code-agent", "task": "/count 1"})
    for _ in range(100):
        await socket.heard("pong")
    await socket.exceeded()
    assert await clerk.listed("/tasks") == ([], 0)


@pytest.mark.long
async def test_a_minute_later_a_hundred_more_are_fine(clerk):
    socket = await clerk.connect()
    since = time.monotonic()
    for number in range(100):
        socket.say("ping", {"timestamp": number})
    assert len([await socket.heard("pong") for _ in range(100)]) == 100
    answered = time.monotonic()
    await asyncio.sleep(60 + answered - since)
    for number in range(100):
        socket.say("ping", {"timestamp": number})
    assert len([await socket.heard("pong") for _ in range(100)]) == 100
    socket.say("ping", {"timestamp": 0})
    await socket.exceeded()


# --- subscriptions


async def made(clerk: Person, count: int) -> list[str]:
    """The ids of so many tasks, which wait for people."""
    return [task["id"] for task in await asyncio.gather(*(clerk.make() for _ in range(count)))]


async def subscribed(socket: TaskSocket, tasks: list[str]):
    """To all of these, each of which says how it stands."""
    for task in tasks:
        socket.subscribe("task", task_id=task)
    heard = []
    while len(heard) < len(tasks):
        message = await socket.hear()
        if message["type"] != "system_status_update":  # others of this server are at work
            heard.append(message["data"]["task_id"])
    assert sorted(heard) == sorted(tasks)


async def test_fifty_subscriptions_are_fine_and_the_next_is_too_many(clerk):
    tasks = await made(clerk, 51)
    socket, other = await clerk.connect(), await clerk.connect()
    await subscribed(socket, tasks[:50])
    await subscribed(socket, tasks[:3])
    await subscribed(other, tasks[50:])
    await clerk.change(tasks[0], status="in_progress")
    assert (await socket.heard("task_update"))["status"] == "in_progress", "it is all still there, and once"
    assert await socket.waiting() == []
    data = {"channel": "task", "task_id": tasks[50]}
    socket.say("subscribe", data)
    assert "50" in await socket.exceeded("subscribe", data)
    assert await other.waiting() == []


async def test_every_channel_counts_and_what_was_given_back_does_not(office, clerk):
    tasks = await made(clerk, 49)
    execution = (await clerk.start("counting"))["id"]
    await clerk.execution_becomes(execution, "completed")
    socket = await clerk.connect()
    await subscribed(socket, tasks[:47])
    socket.subscribe("tasks")
    socket.subscribe("tasks")
    socket.subscribe("workflow_execution", execution_id=execution)
    await socket.heard("workflow_execution_update")
    socket.subscribe("system_status")
    await socket.heard("system_status_update")
    for gone in ({"channel": "tasks"}, {"channel": "workflow_execution", "execution_id": execution}):
        socket.say("unsubscribe", gone)
    await subscribed(socket, tasks[47:])
    data = {"channel": "tasks"}
    socket.say("subscribe", data)
    while (message := await socket.hear())["type"] == "system_status_update":
        pass
    assert (message["data"]["code"], message["data"]["request_data"]) == ("rate_limit_exceeded", data)
    await socket.closed("rate_limit_exceeded", 1008)


async def test_what_was_refused_and_what_comes_by_itself_does_not_count(clerk):
    tasks = await made(clerk, 50)
    socket = await clerk.connect()
    for _ in range(5):
        socket.subscribe("task", task_id=NOBODY)
        socket.subscribe("workflow_execution", execution_id=NOBODY)
        socket.subscribe("task", task_id="task-123")
        socket.subscribe("news")
    for _ in range(20):
        assert (await socket.heard("error"))["code"] == "invalid_subscription"
    own = await socket.execute("/count 2")
    await socket.course(own)
    slow = await socket.execute("/count 10000 1000")
    socket.say("unsubscribe", {"channel": "task", "task_id": slow})
    heard = await socket.waiting()
    assert {message["data"]["task_id"] for message in heard} <= {slow}
    await subscribed(socket, tasks)
    await clerk.good("POST", f"/tasks/{slow}/cancel")
    data = {"channel": "task", "task_id": own}
    socket.say("subscribe", data)
    await socket.exceeded("subscribe", data)


# --- what waits


async def test_nobody_fills_the_queue_alone(build_office):
    """Of one user no more wait on a shard than may: more is refused, by socket and over REST, and others are let in."""
    office = build_office(shards=1, tasks={"max_running": 1, "max_waiting_of_user": 2})
    clerk, other = office.person(), office.person()
    first = (await clerk.make(agent_id="code-agent", task=LONG))["id"]
    await clerk.becomes(first, "in_progress")
    waiting = [(await clerk.make(agent_id="code-agent", task="/count 1"))["id"] for _ in range(2)]
    assert "yours" in await clerk.refused(429, "POST", "/tasks", {"agent_id": "code-agent", "task": "/count 1"})
    assert "yours" in await clerk.refused(429, "POST", "/orchestration/executions", {"workflow_id": "code-review-workflow"})
    socket, data = await clerk.connect(), {"agent_id": "code-agent", "task": "/count 1"}
    socket.say("execute_agent", data)
    assert "your" in await socket.refused("service_unavailable", "execute_agent", data)
    assert (await clerk.make(task="for people"))["status"] == "pending", "no agent is to do it"
    assert (await other.make(agent_id="code-agent", task="/count 1"))["status"] == "pending"
    await clerk.good("POST", f"/tasks/{waiting[0]}/cancel")
    again = await socket.execute("/count 1")
    await clerk.good("POST", f"/tasks/{first}/cancel")
    for task in (waiting[1], again):
        await clerk.becomes(task, "completed")
