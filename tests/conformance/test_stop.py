"""The graceful stop, and the starts after it."""

import asyncio
import json
import signal
import time

import tokens
from client import open_socket, sign_in
from contract import SUCCESS, agent_event, connect_request, failure


def is_terminated(text: str) -> bool:
    """The one recoverable error."""
    said = json.loads(text)
    payload = said["payload"]
    return (
        list(said) == ["type", "payload"]
        and said["type"] == "recoverable_session_error"
        and list(payload) == ["type", "title", "status"]
        and (payload["type"], payload["title"].lower(), payload["status"]) == ("terminated", "terminated", 422)
    )


async def exit_code(house, timeout: float) -> int:
    """Waits for the process."""
    return await asyncio.to_thread(house.process.wait, timeout)


async def test_everyone_is_told_served_through_the_drain_and_closed_with_1012(build, http, name, room):
    house = build(stop={"drain": "8s"})
    subs = [name() for _ in range(100)]
    sockets = []
    for index, sub in enumerate(subs):
        socket = await open_socket(house, house.two_shards[index % 2] if index < 4 else None)
        socket.send(connect_request(room if index < 2 else f"{index:032x}", tokens.token(sub)))
        assert await socket.text() == SUCCESS
        sockets.append(socket)
    assert (await sockets[0].json())["id"]["operation"] == "entered"
    unsigned = await open_socket(house)
    began = time.monotonic()
    house.signal(signal.SIGTERM)
    for socket in sockets:
        assert is_terminated(await socket.text())

    # Still served: events are published, new sessions are taken, and one's own successor replaces.
    assert (await http.get(f"{house.internal}/livez")).status_code == 200
    assert (await http.get(f"{house.internal}/readyz")).status_code == 503
    body = {"entity_type": "ban", "operation": "created", "payload": {"n": 1}}
    assert (await http.post(f"{house.internal}/api/v1/classrooms/{room}/events", json=body)).json()["members"] == 2
    for socket in sockets[:2]:
        assert (await socket.json())["payload"] == {"n": 1}
    successor = await sign_in(house, room, tokens.token(subs[0]))
    await sockets[0].failure(failure("replaced"))
    late = await sign_in(house, room, tokens.token(name()))
    assert (await sockets[1].json())["id"]["operation"] == "entered"
    unsigned.send(connect_request("f" * 32, tokens.token(name())))
    assert await unsigned.text() == SUCCESS
    # Whoever is taken during the drain may be told at once that it will not last.
    assert await exit_code(house, 60) == 0
    took = time.monotonic() - began
    assert 8 <= took <= 20, took
    for socket in [*sockets[1:], successor, late, unsigned]:
        while (heard := await socket.next()).kind == "text":
            text = heard.data.decode()
            assert is_terminated(text) or json.loads(text)["id"]["operation"] in ("entered", "left")
        assert heard.kind == "close" and int.from_bytes(heard.data[:2], "big") == 1012
        assert 8 <= heard.at - began
        assert (await socket.next()).kind == "end"


async def test_a_stop_with_nobody_there_ends_in_time(build):
    house = build(stop={"drain": "1s"})
    house.signal(signal.SIGTERM)
    assert await exit_code(house, 20) == 0


async def test_interrupt_stops_as_gracefully(build, name, room):
    house = build(stop={"drain": "500ms"})
    socket = await sign_in(house, room, tokens.token(name()))
    house.signal(signal.SIGINT)
    assert is_terminated(await socket.text())
    assert await exit_code(house, 60) == 0


async def test_who_never_reads_does_not_hold_the_stop_up(build, name, room, http):
    house = build(stop={"drain": "500ms"})
    stuck = await sign_in(house, room, tokens.token(name()))
    stuck.transport.pause_reading()
    body = {"entity_type": "doc", "operation": "sent", "payload": {"text": "x" * 100_000}}
    for _ in range(20):
        await http.post(f"{house.internal}/api/v1/classrooms/{room}/events", json=body)
    house.signal(signal.SIGTERM)
    assert await exit_code(house, 30) == 0


async def test_the_sessions_of_a_stopped_server_are_history(build, http, name, room):
    house = build()
    watcher = await sign_in(house, room, tokens.token(name()))
    number = await first_number(house, http, room)
    house.signal(signal.SIGTERM)
    assert await exit_code(house, 60) == 0
    house.start()
    assert watcher.everything
    reader = {"authorization": f"Bearer {tokens.token('reader')}"}
    assert (await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers=reader)).json() == []
    sub = name()
    other = await sign_in(house, room, tokens.token(name()))
    await sign_in(house, room, tokens.token(sub))
    heard = await other.text()
    assert heard == agent_event("entered", json.loads(heard)["id"]["sequence_id"], tokens.agent_id(sub))
    assert json.loads(heard)["id"]["sequence_id"] > number


async def first_number(house, http, room) -> int:
    """The number of the first in the list."""
    answer = await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers={"authorization": f"Bearer {tokens.token('reader')}"})
    return answer.json()[0]["sequence_id"]
