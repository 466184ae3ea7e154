"""Who is turned away by addresses, numbers, pace and pages: over real sockets, with the status or close code that clients see."""

import asyncio
import contextlib

import pytest

import quiz
import tokens
from client import open_socket, sign_in
from contract import connect_request
from test_metrics import samples

UPGRADE = (
    "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
COUNTED = {"loopback": True}


async def limited(house, http, limit: str) -> float:
    """How often this limit was run into."""
    return (await samples(house, http))[f'homeroom_limited_total{{limit="{limit}"}}']


async def knock(house, *headers: str, target: str = "/ws", port: int | None = None, source: str = "127.0.0.1"):
    """The first answer to a request from an address, and the streams, which stay open."""
    where = ("127.0.0.1", port or house.presence_port)
    reader, writer = await asyncio.open_connection(*where, local_addr=(source, 0))
    lines = (f"GET {target} HTTP/1.1", "Host: school.example", *headers, "", "")
    writer.write("\r\n".join(lines).encode())
    said = b""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
        said = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    return said.split(b"\r\n"), writer


async def test_a_page_opens_sockets_only_where_a_rule_lets_it(build, http):
    house = build(limits={"origins": ["same-host", "https://*.school.test"]})
    for origin, status in (
        (None, b"101"), ("https://school.example", b"101"), ("http://school.example:3000", b"101"), ("https://a.school.test", b"101"),
        ("https://evil.example", b"403"), ("null", b"403"), ("https://school.example.evil.example", b"403"),
    ):
        said, writer = await knock(house, *UPGRADE, *([f"Origin: {origin}"] if origin else []))
        writer.close()
        assert said[0].split()[1] == status, (origin, said)
    assert await limited(house, http, "origin") == 3


async def test_no_page_is_an_agent(house, http):
    for target in ("/agent/ws?agent_id=hijacked&platform=host", "/api/v1/agents/connect?agent_id=hijacked"):
        said, writer = await knock(house, *UPGRADE, "Origin: https://school.example", target=target, port=house.labs_port)
        writer.close()
        assert said[0].split()[1] == b"403", said


async def test_an_address_has_so_many_connections(build, http):
    house = build(limits=COUNTED | {"connections_per_address": 3})
    first = [await knock(house, *UPGRADE, source="127.0.0.9") for _ in range(3)]
    assert all(said[0].split()[1] == b"101" for said, _ in first)
    said, writer = await knock(house, *UPGRADE, source="127.0.0.9")
    assert said[0].split()[1] == b"429" and b"Retry-After: 1" in said
    said, other = await knock(house, *UPGRADE, source="127.0.0.10")
    assert said[0].split()[1] == b"101", "another address has its own"
    assert await limited(house, http, "address_connections") >= 1
    for gone in (writer, other, *(writer for _, writer in first)):
        gone.close()

    async def is_free_again():
        said, writer = await knock(house, *UPGRADE, source="127.0.0.9")
        writer.close()
        return bool(said[0]) and said[0].split()[1] == b"101"

    await quiz.is_true_soon(is_free_again)


async def test_an_address_comes_no_faster_than_it_may(build, http):
    house = build(limits=COUNTED | {"handshakes_a_second": 1, "handshake_burst": 8})
    said = [await knock(house, *UPGRADE, source="127.0.0.11") for _ in range(24)]
    for _, writer in said:
        writer.close()
    statuses = [lines[0].split()[1] if lines[0] else b"closed" for lines, _ in said]
    assert statuses[0] == b"101" and {b"429"} <= set(statuses) <= {b"101", b"429", b"closed"}, statuses
    assert await limited(house, http, "address_pace") == len([status for status in statuses if status != b"101"])
    said, writer = await knock(house, *UPGRADE, source="127.0.0.12")
    writer.close()
    assert said[0].split()[1] == b"101", "another address comes as ever"


async def test_a_user_has_so_many_connections(build, http, room, name):
    house = build(limits={"connections_per_user": 2})
    signed = tokens.token(name())
    both = [await sign_in(house, room, signed, label=label, shard=shard) for label, shard in zip("ab", house.two_shards)]
    third = await open_socket(house)
    third.send(connect_request(room, signed, "c"))
    heard = await third.next()
    assert (heard.kind, int.from_bytes(heard.data[:2], "big")) == ("close", 1008)
    assert await limited(house, http, "user_connections") == 1
    await both[0].leave()

    async def may_again():
        socket = await open_socket(house)
        socket.send(connect_request(room, signed, "c"))
        return (await socket.next()).kind == "text"

    await quiz.is_true_soon(may_again)


async def test_heads_and_messages_have_their_bounds(build, http, room, name):
    house = build(limits={"max_head": "2KiB", "max_headers": 16, "messages_a_second": 20})
    for headers in (["X-Filler: " + "x" * 3000], [f"X-{number}: y" for number in range(20)]):
        said, writer = await knock(house, *UPGRADE, *headers)
        writer.close()
        assert said[0].split()[1] == b"431", said
    assert await limited(house, http, "head") == 2
    # What comes later on a connection that is kept has the same bounds.
    reader, writer = await asyncio.open_connection("127.0.0.1", house.presence_port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n" + b"GET /healthz HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 3000 + b"\r\n\r\n")
    said = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert said.count(b"HTTP/1.1") == 2 and b"HTTP/1.1 431" in said, said
    member = await sign_in(house, room, tokens.token(name()))
    for _ in range(50):
        member.send("x")
    heard = await member.next()
    assert (heard.kind, int.from_bytes(heard.data[:2], "big")) == ("close", 1008)
    assert await limited(house, http, "messages") == 1


HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
TWO_LENGTHS = {
    "CL.TE": b"Content-Length: 6\r\nTransfer-Encoding: chunked", "TE.CL": b"Transfer-Encoding: chunked\r\nContent-Length: 6",
    "TE.TE": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "CL.CL": b"Content-Length: 6\r\nContent-Length: 5",
}


@pytest.mark.parametrize("lengths", TWO_LENGTHS)
async def test_what_hides_in_a_request_is_never_answered(house, room, lengths):
    """On a fresh connection it is refused; behind another request it is answered once at most. Either way the connection ends."""
    body = b"0\r\n\r\n" + HIDDEN
    request = b"POST /api/v1/counters HTTP/1.1\r\nHost: h\r\n" + TWO_LENGTHS[lengths] + b"\r\n\r\n" + body
    for before in (b"", HIDDEN):
        reader, writer = await asyncio.open_connection("127.0.0.1", house.presence_port)
        writer.write(before + request)
        said = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        answers = said.count(b"HTTP/1.1 ")
        assert answers <= (2 if before else 1), said
        assert said.count(b"HTTP/1.1 200") == (1 if before else 0), said
        assert before or said.startswith(b"HTTP/1.1 400 "), said
