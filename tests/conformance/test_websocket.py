"""RFC 6455 at its edges, by raw bytes: what is wrong ends with the right code, bounded memory and a server that is none the worse."""

import asyncio
import base64
import os
import random
import time
from pathlib import Path

import pytest

import tokens
from client import Socket, open_socket, sign_in
from contract import SUCCESS, connect_request


def frame(opcode: int, payload: bytes, fin: bool = True, reserved: int = 0, mask: bool = True, length: int | None = None) -> bytes:
    """One frame; `length` claims another length than the payload has."""
    length = len(payload) if length is None else length
    masked = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    if length < 126:
        head += bytes([masked | length])
    elif length < 1 << 16:
        head += bytes([masked | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([masked | 127]) + length.to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9

FAULTS = {
    "unmasked text": (frame(TEXT, b"hello", mask=False), 1002),
    "reserved bit 1": (frame(TEXT, b"hello", reserved=4), 1002),
    "reserved bit 3": (frame(TEXT, b"hello", reserved=1), 1002),
    "unknown opcode 3": (frame(3, b"hello"), 1002),
    "unknown opcode 11": (frame(11, b"hello"), 1002),
    "long Ping": (frame(PING, b"x" * 126), 1002),
    "Ping in parts": (frame(PING, b"x", fin=False), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"hello"), 1002),
    "text within text": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "Close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "Close with a forbidden code": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe\xfd"), 1007),
    "text cut within a character": (frame(TEXT, "ё".encode()[:1]), 1007),
    "message of a terabyte": (frame(TEXT, b"x" * 100, length=1 << 40), 1009),
    "message just too long": (frame(TEXT, b"x" * 10, length=(64 << 10) + 1), 1009),
    "parts that grow too long": (frame(TEXT, b"x" * 40_000, fin=False) + frame(CONTINUATION, b"x" * 40_000), 1009),
}


async def is_well(house, name, room):
    """The server still takes a session."""
    socket = await sign_in(house, room, tokens.token(name()))
    await socket.leave()


async def code_after(socket: Socket, data: bytes) -> int | None:
    """Sends the bytes; returns the Close's code, which nothing may come before."""
    socket.raw(data)
    return await socket.close_code()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("signed_in", [False, True], ids=["before", "after"])
async def test_a_fault_ends_with_its_code(house, room, name, fault, signed_in):
    data, code = FAULTS[fault]
    socket = await (sign_in(house, room, tokens.token(name())) if signed_in else open_socket(house))
    assert await code_after(socket, data) == code
    await is_well(house, name, room)


async def test_a_request_in_parts_with_pings_between_is_whole(house, room, name):
    socket = await open_socket(house)
    message = connect_request(room, tokens.token(name()), "веб").encode()
    third = len(message) // 3
    parts = [message[:third], b"", message[third:2 * third], message[2 * third:]]
    socket.send_parts(*parts, between=lambda: socket.ping(b"between"))
    assert await socket.text() == SUCCESS
    assert [pong.data for pong in socket.pongs] == [b"between"] * 3


async def test_frames_cut_anywhere_are_whole(house, room, name):
    socket = await open_socket(house)
    data = frame(PING, b"p") + frame(TEXT, connect_request(room, tokens.token(name())).encode())
    while data:
        cut = random.randint(1, 60)
        socket.raw(data[:cut])
        data = data[cut:]
        await asyncio.sleep(0.002)
    assert await socket.text() == SUCCESS


async def test_request_and_first_frame_in_one_packet(house, room, name):
    """Bytes behind the upgrade request are frames already."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.presence_port)
    writer.write(upgrade() + frame(TEXT, connect_request(room, tokens.token(name())).encode()))
    said = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert said.startswith(b"HTTP/1.1 101")
    expected = SUCCESS.encode()
    assert await asyncio.wait_for(reader.readexactly(2 + len(expected)), 5) == bytes([0x81, len(expected)]) + expected
    writer.close()


def upgrade(path: str = "/ws", **changes) -> bytes:
    """An upgrade request; a header set to None is left out."""
    headers = {
        "Host": "homeroom.example.org", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), "Sec-WebSocket-Version": "13",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def exchange(house, data: bytes, timeout: float = 5) -> bytes:
    """Sends bytes; returns what comes until the head of an answer is there or the stream ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.presence_port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout)
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    except ConnectionError:
        return b""
    finally:
        writer.close()


BAD_UPGRADES = {
    "no key": ({"Sec_WebSocket_Key": None}, (400,)),
    "key of the wrong length": ({"Sec_WebSocket_Key": "c2hvcnQ="}, (400,)),
    "version 8": ({"Sec_WebSocket_Version": "8"}, (400, 426)),
    "no version": ({"Sec_WebSocket_Version": None}, (400, 426)),
    "no connection upgrade": ({"Connection": "keep-alive"}, (400, 426)),
}


@pytest.mark.parametrize("fault", BAD_UPGRADES)
async def test_a_bad_upgrade_is_refused(house, room, name, fault):
    changes, statuses = BAD_UPGRADES[fault]
    said = await exchange(house, upgrade(**changes))
    assert int(said.split()[1]) in statuses, said
    await is_well(house, name, room)


WORDINGS = [{"Connection": "keep-alive, Upgrade"}, {"Upgrade": "WebSocket"}, {"Origin": "https://school.example.org"}]


@pytest.mark.parametrize("changes", WORDINGS, ids=str)
async def test_an_upgrade_may_be_worded_in_other_ways(house, changes):
    assert (await exchange(house, upgrade(**changes))).startswith(b"HTTP/1.1 101")


TLS_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 80


@pytest.mark.parametrize("data", [b"\x00" * 100, TLS_HELLO, b"HELO there"], ids=["zeros", "tls", "smtp"])
async def test_what_is_no_http_is_refused_or_closed(house, room, name, data):
    said = await exchange(house, data + b"\r\n\r\n")
    assert said == b"" or said.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), said
    await is_well(house, name, room)


async def test_endless_headers_are_refused(house, room, name):
    said = await exchange(house, b"GET /ws HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: " + b"x" * 200_000)
    assert said == b"" or said.split()[1] in (b"400", b"431"), said
    await is_well(house, name, room)


async def test_a_handshake_that_never_ends_is_ended(build, room, name):
    house = build(websocket={"handshake_timeout": "1s"})
    loop = asyncio.get_running_loop()
    for start in (b"", b"GET /ws HTTP/1.1\r\nHost: x\r\nUpg"):
        began = loop.time()
        said = await exchange(house, start, timeout=30)
        assert said == b"" or b" 408 " in said.split(b"\r\n")[0] + b" "
        assert 1 <= loop.time() - began <= 9
    await is_well(house, name, room)


def resident_bytes(house) -> int:
    """The server's resident memory."""
    pages = int(Path(f"/proc/{house.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_messages_that_never_end_cost_bounded_memory(build, room, name):
    """Two hundred clients each announce the largest message, send most of it and then nothing."""
    house = build(presence={"auth_timeout": "30s"})
    await is_well(house, name, room)
    before = resident_bytes(house)
    for _ in range(200):
        socket = await open_socket(house)
        socket.raw(frame(TEXT, b"x" * 60_000, length=64 << 10))
        announcing = await open_socket(house)
        announcing.raw(frame(TEXT, b"x", length=64 << 10))
    await asyncio.sleep(0.5)
    grown = resident_bytes(house) - before
    assert grown < 200 * (3 * 64 << 10) + (8 << 20), f"{grown} bytes more"
    await is_well(house, name, room)


async def test_a_flood_of_pings_is_answered_in_order_or_ended(house, room, name):
    socket = await sign_in(house, room, tokens.token(name()))
    # Fewer than limits.messages_a_second.
    for index in range(1500):
        socket.ping(index.to_bytes(2, "big"))
    deadline = time.monotonic() + 30
    while (not socket.pongs or socket.pongs[-1].data != (1499).to_bytes(2, "big")) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    answered = [int.from_bytes(pong.data, "big") for pong in socket.pongs]
    assert answered == sorted(set(answered)) and answered[-1] == 1499, "RFC 6455, 5.5.3: at least the last Ping is answered"
    await is_well(house, name, room)


async def test_a_slow_reader_is_closed_and_slows_nobody(build, http, room, name):
    house = build(websocket={"outbox": "256KiB"})
    slow = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    good = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    assert (await slow.json())["id"]["operation"] == "entered"
    slow.transport.pause_reading()
    body = {"entity_type": "doc", "operation": "sent", "payload": {"text": "x" * 60_000}}
    heard, left = 0, False
    for _ in range(400):
        assert (await http.post(f"{house.internal}/api/v1/classrooms/{room}/events", json=body)).status_code == 200
        heard += 1
        event = await good.json()
        if event["id"]["operation"] == "left":
            left = True
            break
        assert event["id"]["entity_type"] == "doc"
    assert left, f"{heard} events of 60 kB, and the one who does not read is still a member"


async def test_the_echo_is_there_only_under_the_switch(build):
    house = build()
    socket = await open_socket(house, path="/echo")
    for message in ("hello", "ё" * 1000, b"\x00\x01\x02", b"x" * 60_000, ""):
        socket.send(message)
        heard = await socket.next()
        wanted = message.encode() if isinstance(message, str) else message
        assert (heard.kind, heard.data) == ("text" if isinstance(message, str) else "binary", wanted)
    house = build(test={"endpoints": False})
    said = await exchange(house, upgrade("/echo"))
    assert said.split()[1] == b"404"
    said = await exchange(house, upgrade("/ws"))
    assert said.startswith(b"HTTP/1.1 101") and b"x-homeroom-shard" not in said.lower()
