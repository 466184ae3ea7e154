"""The internal routes that act on a room: publishing to it, and ending a session."""

import asyncio
import json
import uuid

import pytest

import tokens
from client import sign_in
from contract import agent_event, compact, failure


def events_of(house, room) -> str:
    """Where to publish to this room."""
    return f"{house.internal}/api/v1/classrooms/{room}/events"


async def trio(house, room, name):
    """Three members on as many shards as there are, each past the "entered" of the others; and their names."""
    subs = [name() for _ in range(3)]
    sockets = [await sign_in(house, room, tokens.token(sub), shard=house.two_shards[index % 2]) for index, sub in enumerate(subs)]
    for index, socket in enumerate(sockets):
        for _ in range(2 - index):
            assert (await socket.json())["id"]["operation"] == "entered"
    return sockets, subs


async def test_every_member_gets_it_in_the_event_form(house, http, room, name):
    sockets, _ = await trio(house, room, name)
    outsider = await sign_in(house, uuid.uuid4(), tokens.token(name()))
    payload = {"z": 1, "a": {"text": "ё\n\"", "list": [1.5, None, True]}, "type": "inner"}
    body = {"entity_type": "ban", "operation": "created", "payload": payload, "sequence_id": 7}
    answer = await http.post(events_of(house, room), json=body)
    assert (answer.status_code, answer.json()) == (200, {"sequence_id": 7, "members": 3})
    for socket in sockets:
        assert await socket.json() == {"id": {"entity_type": "ban", "operation": "created", "sequence_id": 7}, "payload": payload}
    await outsider.quiet(0.3)


async def test_the_keys_come_in_order_and_the_payload_as_it_was(house, http, room, name):
    socket = await sign_in(house, room, tokens.token(name()))
    payload = {"b": 1, "a": [1, 2], "c": {"y": "x"}}
    await http.post(
        events_of(house, room), headers={"content-type": "application/json"},
        content=compact({"entity_type": "room", "operation": "update", "payload": payload, "sequence_id": 41}),
    )
    assert await socket.text() == compact({"id": {"entity_type": "room", "operation": "update", "sequence_id": 41}, "payload": payload})


async def test_a_receiver_hears_it_alone(house, http, room, name):
    sockets, subs = await trio(house, room, name)
    body = {"entity_type": "note", "operation": "created", "payload": {"to": 1}}
    answer = await http.post(events_of(house, room), json=body | {"receiver": tokens.agent_id(subs[1])})
    assert answer.json()["members"] == 1
    assert (await sockets[1].json())["payload"] == {"to": 1}
    await sockets[0].quiet(0.3)
    await sockets[2].quiet(0.05)
    answer = await http.post(events_of(house, room), json=body | {"receiver": "web.nobody.example.org"})
    assert (answer.status_code, answer.json()["members"]) == (200, 0)


async def test_an_empty_room_takes_it_too(house, http, room):
    answer = await http.post(events_of(house, room), json={"entity_type": "ban", "operation": "created", "payload": {}})
    assert (answer.status_code, answer.json()["members"]) == (200, 0)
    assert isinstance(answer.json()["sequence_id"], int)


async def test_all_members_hear_all_in_one_order(house, http, room, name):
    sockets, _ = await trio(house, room, name)
    numbers = []
    for index in range(150):
        answer = await http.post(events_of(house, room), json={"entity_type": "tick", "operation": "made", "payload": {"n": index}})
        numbers.append(answer.json()["sequence_id"])
    assert numbers == sorted(set(numbers)), "the server's own numbers rise"
    for socket in sockets:
        heard = [await socket.json() for _ in range(150)]
        assert [event["payload"]["n"] for event in heard] == list(range(150))
        assert [event["id"]["sequence_id"] for event in heard] == numbers


async def test_concurrent_publishers_are_heard_in_the_same_order_by_all(house, http, room, name):
    sockets, _ = await trio(house, room, name)

    async def publish(publisher: int):
        for index in range(40):
            body = {"entity_type": "tick", "operation": "made", "payload": {"p": publisher, "n": index}}
            assert (await http.post(events_of(house, room), json=body)).json()["members"] == 3

    await asyncio.gather(*(publish(publisher) for publisher in range(4)))
    orders = [[await socket.text() for _ in range(160)] for socket in sockets]
    assert orders[0] == orders[1] == orders[2]
    for publisher in range(4):
        mine = [json.loads(text)["payload"]["n"] for text in orders[0] if json.loads(text)["payload"]["p"] == publisher]
        assert mine == list(range(40))


async def test_large_payloads_go_through_whole(house, http, room, name):
    socket = await sign_in(house, room, tokens.token(name()))
    payload = {"text": "x" * 100_000}
    answer = await http.post(events_of(house, room), json={"entity_type": "doc", "operation": "sent", "payload": payload})
    assert answer.status_code == 200
    assert (await socket.json())["payload"] == payload


@pytest.mark.parametrize("size", [1000, 5000, 10_000, 100_000, 900_000])
async def test_a_request_that_comes_in_one_piece_is_read_whole(house, room, size):
    """Head and body in one write on a fresh connection, larger than any buffer that the first bytes are read into."""
    body = compact({"entity_type": "doc", "operation": "sent", "payload": {"text": "x" * size}}).encode()
    head = f"POST /api/v1/classrooms/{room}/events HTTP/1.1\r\nhost: x\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", house.internal_port)
    writer.write(head.encode() + body)
    assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)).startswith(b"HTTP/1.1 200")
    writer.close()


BAD_EVENTS = {
    "not JSON": "{",
    "no entity_type": compact({"operation": "x", "payload": {}}),
    "no operation": compact({"entity_type": "x", "payload": {}}),
    "no payload": compact({"entity_type": "x", "operation": "y"}),
    "payload no object": compact({"entity_type": "x", "operation": "y", "payload": [1]}),
    "sequence_id text": compact({"entity_type": "x", "operation": "y", "payload": {}, "sequence_id": "7"}),
    "receiver a number": compact({"entity_type": "x", "operation": "y", "payload": {}, "receiver": 7}),
}


@pytest.mark.parametrize("fault", BAD_EVENTS)
async def test_an_event_of_the_wrong_shape_is_refused(house, http, room, name, fault):
    socket = await sign_in(house, room, tokens.token(name()))
    answer = await http.post(events_of(house, room), content=BAD_EVENTS[fault], headers={"content-type": "application/json"})
    assert answer.status_code in ((400, 422) if fault == "not JSON" else (422,))
    assert answer.text
    await socket.quiet(0.2)


async def test_publishing_is_not_offered_to_the_public(house, http, room):
    body = {"entity_type": "ban", "operation": "created", "payload": {}}
    answer = await http.post(f"{house.url}/api/v1/classrooms/{room}/events", json=body)
    assert answer.status_code == 404
    answer = await http.request("DELETE", f"{house.url}/api/v1/sessions", json={})
    assert answer.status_code == 405, "labs have the path, and no such method"


# DELETE /api/v1/sessions


async def delete(house, http, agent_id, room):
    """Asks for the end of a session."""
    key = {"session_key": {"agent_id": agent_id, "classroom_id": str(room)}}
    return await http.request("DELETE", f"{house.internal}/api/v1/sessions", json=key)


async def test_a_session_can_be_ended_from_outside_and_the_agent_can_come_again(house, http, room, name):
    sub = name()
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    socket = await sign_in(house, room, tokens.token(sub), shard=house.two_shards[1])
    number = (await watcher.json())["id"]["sequence_id"]
    answer = await delete(house, http, tokens.agent_id(sub), room)
    assert (answer.status_code, answer.json()) == (200, {"type": "delete_success"})
    await socket.failure(failure("replaced"))
    assert await watcher.text() == agent_event("left", number, tokens.agent_id(sub))
    assert (await delete(house, http, tokens.agent_id(sub), room)).status_code == 404
    await sign_in(house, room, tokens.token(sub), shard=house.two_shards[1])
    again = await watcher.json()
    assert again["id"]["operation"] == "entered"
    assert again["id"]["sequence_id"] > number


async def test_a_session_that_is_not_there_is_not_found(house, http, room, name):
    await sign_in(house, room, tokens.token(name()))
    answer = await delete(house, http, tokens.agent_id(name()), room)
    assert (answer.status_code, answer.json()) == (404, {"type": "delete_failure", "payload": "not_found"})


@pytest.mark.parametrize("body", [{}, {"session_key": {}}, {"session_key": {"agent_id": "x", "classroom_id": "no uuid"}}, []], ids=str)
async def test_a_key_of_the_wrong_shape_is_refused(house, http, body):
    answer = await http.request("DELETE", f"{house.internal}/api/v1/sessions", json=body)
    assert answer.status_code == 422
    assert answer.text
