"""[limits] read again on SIGHUP: what a running server goes by from then on, with those counted who were there before."""

import asyncio

import pytest

import tokens
from client import open_socket, sign_in
from contract import connect_request
from test_limits import COUNTED, UPGRADE, knock
from test_reload import REFUSED, Reloads, comes_true

PLAIN = {"log": {"level": "info"}, "limits": COUNTED}


def status(said: list[bytes]) -> bytes:
    """Of an answer's lines."""
    return said[0].split()[1] if said[0] else b"closed"


class Doors(Reloads):
    """A server at whose door one knocks."""

    async def knocks(self, *headers: str, source: str) -> bytes:
        """What is answered; the connection is given up."""
        said, writer = await knock(self.house, *(headers or UPGRADE), source=source)
        writer.close()
        return status(said)

    async def turns(self, expected: bytes, *headers: str, source: str):
        """Waits until this is answered."""

        async def is_so() -> bool:
            return await self.knocks(*headers, source=source) == expected

        await comes_true(is_so)


@pytest.fixture
def doors(build):
    """Such a server."""
    return Doors(build(**PLAIN))


async def test_an_address_has_as_many_as_it_may_now_and_those_who_are_there_count(doors):
    there = [await knock(doors.house, *UPGRADE, source="127.0.0.21") for _ in range(3)]
    doors.change(limits={"connections_per_address": 3})
    assert "limits.connections_per_address" in await doors.read()
    await doors.turns(b"429", source="127.0.0.21")
    assert await doors.knocks(source="127.0.0.22") == b"101", "another address has its own"
    doors.change(limits={"connections_per_address": 0})
    await doors.read()
    await doors.turns(b"101", source="127.0.0.21")
    doors.change(limits={"connections_per_address": 3})
    await doors.read()
    await doors.turns(b"429", source="127.0.0.21")
    there.pop()[1].close()
    await doors.turns(b"101", source="127.0.0.21")
    for _, writer in there:
        writer.close()


async def test_an_address_comes_as_fast_as_it_may_now(doors):
    doors.change(limits={"handshakes_a_second": 1, "handshake_burst": 1})
    assert "limits.handshake_burst, limits.handshakes_a_second" in await doors.read()
    await doors.turns(b"429", source="127.0.0.23")
    # What was used up by the old rule is not held against anybody by the new one.
    doors.change(limits={"handshakes_a_second": 0})
    await doors.read()
    await doors.turns(b"101", source="127.0.0.23")
    said = await asyncio.gather(*(doors.knocks(source="127.0.0.23") for _ in range(16)))
    assert set(said) == {b"101"}, said


async def test_a_user_has_as_many_as_he_may_now(doors, room, name):
    signed = tokens.token(name())
    both = [await sign_in(doors.house, room, signed, label=label) for label in "ab"]
    doors.change(limits={"connections_per_user": 2})
    await doors.read()

    async def enters(label: str) -> bool:
        made = await open_socket(doors.house)
        made.send(connect_request(room, signed, label))
        heard = await made.next()
        made.abort()
        return heard.kind == "text"

    async def is_full() -> bool:
        return not await enters("c")

    await comes_true(is_full)
    doors.change(limits={"connections_per_user": 100})
    await doors.read()

    async def has_room() -> bool:
        return await enters("c")

    await comes_true(has_room)
    assert not any(made.transport.is_closing() for made in both)


async def test_heads_pages_and_messages_go_by_the_new_bounds(doors, room, name):
    large, page = ("X-Filler: " + "x" * 3000,), (*UPGRADE, "Origin: https://elsewhere.test")
    assert await doors.knocks(*large, source="127.0.0.24") != b"431"
    assert await doors.knocks(*page, source="127.0.0.24") == b"101"
    made = await sign_in(doors.house, room, tokens.token(name()))
    doors.change(limits={"max_head": "2KiB", "origins": ["same-host"], "messages_a_second": 20})
    assert "limits.max_head, limits.messages_a_second, limits.origins" in await doors.read()
    await doors.turns(b"431", *large, source="127.0.0.24")
    await doors.turns(b"403", *page, source="127.0.0.24")
    for _ in range(100):
        made.send("{}")
    heard = await made.next()
    while heard.kind != "close":
        heard = await made.next()
    assert int.from_bytes(heard.data[:2], "big") == 1008, heard

    async def is_bound() -> bool:
        # A request of REST by a new connection, in the largest head that was good before.
        reader, writer = await asyncio.open_connection("127.0.0.1", doors.house.presence_port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 3000 + b"\r\n\r\n")
        said = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return b"HTTP/1.1 431" in said

    await comes_true(is_bound)


async def test_a_limit_that_cannot_be_changes_nothing(doors):
    doors.change(limits={"connections_per_address": 1, "max_headers": 4})
    assert "limits.max_headers: expected 16 to 64" in await doors.read(REFUSED)
    there = [await knock(doors.house, *UPGRADE, source="127.0.0.25") for _ in range(3)]
    assert [status(said) for said, _ in there] == [b"101"] * 3
    for _, writer in there:
        writer.close()
