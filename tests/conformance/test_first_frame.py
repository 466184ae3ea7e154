"""The first frame: what it may be, what each wrong one is answered with, and the 10 s within which it must come."""

import asyncio
import time
import uuid

import pytest
from websockets.asyncio.client import connect
from websockets.protocol import State

import tokens
from client import open_socket, sign_in
from contract import SUCCESS, compact, connect_request, failure


def request(room, signed, **changes) -> str:
    """A connect request with some of its payload changed; `None` leaves a field out."""
    payload = {"agent_label": "web", "classroom_id": str(room), "token": signed} | changes
    return compact({"type": "connect_request", "payload": {k: v for k, v in payload.items() if v is not None}})


async def test_an_ordinary_client_signs_in(house, room, name):
    """The `websockets` package as anyone would use it, offering compression, which is not taken."""
    async with connect(f"ws://127.0.0.1:{house.presence_port}/ws", proxy=None) as socket:
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
        await socket.send(connect_request(room, tokens.token(name())))
        assert await socket.recv() == SUCCESS


async def test_good_connect_gets_success_and_at_once_a_ping(house, room, name):
    socket = await sign_in(house, room, tokens.token(name()))
    said = socket.everything[0]
    assert (said.kind, said.data.decode()) == ("text", SUCCESS)
    await socket.pinged(1)
    await socket.quiet(1)
    assert [ping.data for ping in socket.pings] == [b""]
    assert socket.pings[0].at - said.at < 10, "far less than the interval"


async def test_binary_is_an_unsupported_request(house, room, name):
    socket = await open_socket(house)
    socket.send(connect_request(room, tokens.token(name())).encode())
    await socket.failure(failure("unsupported_request"))


async def test_ping_is_answered_and_the_wait_goes_on(house, room, name):
    socket = await open_socket(house)
    socket.ping(b"are you there")
    await socket.ponged(1)
    await socket.quiet(0.3)
    assert [pong.data for pong in socket.pongs] == [b"are you there"]
    socket.send(connect_request(room, tokens.token(name())))
    assert await socket.text() == SUCCESS


async def test_close_is_answered_with_close_alone(house):
    socket = await open_socket(house)
    socket.say_close(1000)
    await socket.close_code()
    assert [heard.kind for heard in socket.everything] == ["close", "end"]


BAD = {
    "not JSON": lambda room, token: "hello",
    "empty text": lambda room, token: "",
    "half of it": lambda room, token: request(room, token)[:-1],
    "two values": lambda room, token: request(room, token) + request(room, token),
    "an array": lambda room, token: "[]",
    "a string": lambda room, token: '"connect_request"',
    "null": lambda room, token: "null",
    "no type": lambda room, token: compact({"payload": {"agent_label": "web", "classroom_id": str(room), "token": token}}),
    "other type": lambda room, token: request(room, token).replace("connect_request", "connect_requests"),
    "type a number": lambda room, token: request(room, token).replace('"connect_request"', "1"),
    "no payload": lambda room, token: '{"type":"connect_request"}',
    "payload a string": lambda room, token: '{"type":"connect_request","payload":"x"}',
    "no label": lambda room, token: request(room, token, agent_label=None),
    "no room": lambda room, token: request(room, token, classroom_id=None),
    "no token": lambda room, token: request(room, token, token=None),
    "label a number": lambda room, token: request(room, token, agent_label=7),
    "room a number": lambda room, token: request(room, token, classroom_id=7),
    "token an object": lambda room, token: request(room, token, token={"jwt": "x"}),
    "label empty": lambda room, token: request(room, token, agent_label=""),
    "room empty": lambda room, token: request(room, token, classroom_id=""),
    "room no uuid": lambda room, token: request(room, token, classroom_id="classroom-1"),
    "room one digit short": lambda room, token: request(room, token, classroom_id=str(room)[:-1]),
    "objects 10,000 deep": lambda room, token: '{"a":' * 10_000 + "1" + "}" * 10_000,
    "arrays 30,000 deep in a field to skip": lambda room, token: '{"type":"connect_request","x":' + "[" * 30_000 + "]" * 30_000 + "}",
}


@pytest.mark.parametrize("fault", BAD)
async def test_text_that_is_no_connect_request_fails_to_serialize(house, room, name, fault):
    socket = await open_socket(house)
    socket.send(BAD[fault](room, tokens.token(name())))
    await socket.failure(failure("serialization_failed"))


async def test_unknown_fields_are_ignored(house, room, name):
    socket = await open_socket(house)
    body = request(room, tokens.token(name()), device={"os": [1, "x", None]})
    socket.send('{"version":3,"reconnect":true,' + body[1:])
    assert await socket.text() == SUCCESS


@pytest.mark.parametrize("form", ["upper case", "no dashes", "both"])
async def test_forms_of_the_uuid_name_the_same_room(house, http, room, name, form):
    sub = name()
    written = {"upper case": str(room).upper(), "no dashes": room.hex, "both": room.hex.upper()}[form]
    await sign_in(house, written, tokens.token(sub))
    reader = {"authorization": f"Bearer {tokens.token(name())}"}
    listed = (await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers=reader)).json()
    assert [agent["agent_id"] for agent in listed] == [tokens.agent_id(sub)]


@pytest.mark.parametrize("label", ["web.v2.beta", "веб", "a b", 'with "quotes" and \\', "x" * 200])
async def test_labels_of_any_text_are_accepted(house, http, room, name, label):
    sub = name()
    await sign_in(house, room, tokens.token(sub), label)
    reader = {"authorization": f"Bearer {tokens.token(name())}"}
    listed = (await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers=reader)).json()
    assert [agent["agent_id"] for agent in listed] == [tokens.agent_id(sub, label)]


async def test_of_two_requests_back_to_back_the_second_is_ignored(house, http, room, name):
    sub, other = name(), uuid.uuid4()
    socket = await open_socket(house)
    socket.send(connect_request(room, tokens.token(sub)))
    socket.send(connect_request(other, tokens.token(sub), "second"))
    assert await socket.text() == SUCCESS
    await socket.quiet(0.5)
    counts = await http.post(
        f"{house.url}/api/v1/counters/agent", json={"classroom_ids": [str(room), str(other)]},
        headers={"authorization": f"Bearer {tokens.token(name())}"},
    )
    assert counts.json() == {str(room): 1}


async def test_after_the_connect_text_and_binary_are_ignored(house, room, name):
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    socket = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[1])
    assert (await watcher.json())["id"]["operation"] == "entered"
    for message in ["hello", b"\x00\x01", connect_request(room, "rubbish"), ""]:
        socket.send(message)
    await socket.quiet(0.5)
    await watcher.quiet(0.1)
    socket.ping(b"still here")
    await socket.ponged(1)
    await socket.quiet(0.3)
    assert socket.pongs[-1].data == b"still here"


async def test_silence_times_out_at_the_set_limit(build):
    house = build(presence={"auth_timeout": "1500ms"})
    began = time.monotonic()
    socket = await open_socket(house)
    heard = await socket.failure(failure("auth_timed_out"))
    assert 1.5 <= heard.at - began <= 9, "sooner than by default"


async def test_neither_pings_nor_a_slow_drip_put_the_limit_off(build, room, name):
    house = build(presence={"auth_timeout": "1500ms"})
    began = time.monotonic()
    pinger, dripper, fragmenter = [await open_socket(house) for _ in range(3)]
    frame = b"\x81\xfe\x01\x00" + b"\x00\x00\x00\x00" + connect_request(room, tokens.token(name())).encode()
    fragmenter.protocol.send_text(b'{"type":"connect_request",', fin=False)
    fragmenter._flush()
    for byte in frame[:12]:
        for socket in (pinger, fragmenter):
            if socket.protocol.state is State.OPEN:
                socket.ping()
        dripper.raw(bytes([byte]))
        await asyncio.sleep(0.1)
    for socket in (pinger, dripper, fragmenter):
        heard = await socket.failure(failure("auth_timed_out"))
        assert 1.5 <= heard.at - began <= 9, "sooner than by default"
        assert not socket.pings


async def test_the_limit_is_ten_seconds_by_default(house, room, name):
    began = time.monotonic()
    silent, dripping = await open_socket(house), await open_socket(house)
    message = connect_request(room, tokens.token(name())).encode()
    dripping.raw(b"\x81\xfe" + len(message).to_bytes(2, "big") + b"\x00" * 4)
    for byte in message[:9]:
        dripping.raw(bytes([byte]))
        await asyncio.sleep(1)
    await silent.quiet(began + 9.5 - time.monotonic())
    for socket in (silent, dripping):
        heard = await socket.failure(failure("auth_timed_out"))
        assert 10 <= heard.at - began <= 20


async def test_time_that_the_server_takes_does_not_count(build, room, name):
    house = build(presence={"auth_timeout": "2s"})
    socket = await open_socket(house)
    asked = time.monotonic()
    socket.send(connect_request(room, tokens.token(name("slow"), tokens.ASKED)))
    assert await socket.text() == SUCCESS
    assert socket.everything[0].at - asked > 3
