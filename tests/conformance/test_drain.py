"""The paced drain: `homeroom drain`."""

import asyncio
import subprocess
import time

import tokens
from client import open_socket, sign_in
from house import BINARY
from test_stop import exit_code, is_terminated


async def drain(house, *arguments) -> asyncio.subprocess.Process:
    """The command, running."""
    command = ["drain", "--config", str(house.config), *arguments]
    return await asyncio.create_subprocess_exec(BINARY, *command, cwd=house.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


async def until_closed(socket) -> tuple[float | None, float, bytes]:
    """When it was told `terminated`, when it was closed, and with what."""
    told = None
    while (heard := await socket.next()).kind == "text":
        told = heard.at if is_terminated(heard.data.decode()) else told
    assert heard.kind == "close"
    return told, heard.at, heard.data


async def test_readiness_goes_first_and_then_the_connected_one_by_one(build, http, name, room):
    house = build(stop={"drain": "1s"})
    sockets = [await sign_in(house, f"{index:032x}", tokens.token(name())) for index in range(20)]
    unsigned = await open_socket(house)
    began = time.monotonic()
    command = await drain(house, "--lead", "2s", "--over", "6s")
    assert (await command.stdout.readline()).decode().startswith("draining ")
    assert (await http.get(f"{house.internal}/readyz")).status_code == 503
    assert (await http.get(f"{house.internal}/api/v1/node")).json()["phase"] == "draining"
    assert not any(heard.kind == "close" for socket in sockets for heard in socket.everything)
    # Still served, as whoever opens a second connection needs it.
    late = await sign_in(house, room, tokens.token(name()))
    ends = await asyncio.gather(*(until_closed(socket) for socket in [*sockets, late]))
    told, closed = [end[0] for end in ends], [end[1] for end in ends]
    assert all(told) and all(0.5 <= end - said <= 10 for said, end in zip(told, closed, strict=True))
    assert min(told) - began >= 2, "nobody before the lead is over"
    assert max(told[:20]) - min(told[:20]) >= 4, "one by one"
    assert closed[20] >= max(closed) - 0.5, "who came meanwhile stays until the stop"
    for _, _, data in ends:
        assert int.from_bytes(data[:2], "big") == 1012
        assert 0 <= float(data[2:].decode().removeprefix("retry-after=")) <= 5
    assert len({data for _, _, data in ends}) > 5, "not all are to come back at once"
    assert unsigned.everything
    assert await exit_code(house, 60) == 0
    assert await asyncio.wait_for(command.wait(), 30) == 0


async def test_a_drain_of_nobody_ends_after_the_lead_and_a_second_is_refused(build):
    house = build(stop={"drain": "200ms"})
    first = await drain(house, "--lead", "3s", "--over", "10m")
    assert (await first.stdout.readline()).startswith(b"draining ")
    second = await drain(house, "--over", "1s")
    _, why = await second.communicate()
    assert second.returncode == 1 and b"stopping already" in why
    assert await exit_code(house, 60) == 0
    assert await asyncio.wait_for(first.wait(), 30) == 0


async def test_a_drain_where_nobody_serves_says_so(build):
    house = build()
    house.stop()
    command = await drain(house)
    _, why = await command.communicate()
    assert command.returncode == 1 and b"no server serves" in why


async def test_a_drain_of_more_than_a_day_is_none(build):
    command = await drain(build(), "--over", "25h")
    _, why = await command.communicate()
    assert command.returncode == 2 and b"a day at most" in why


async def test_a_signal_cuts_a_drain_short(build, name, room):
    house = build(stop={"drain": "500ms"})
    socket = await sign_in(house, room, tokens.token(name()))
    command = await drain(house, "--lead", "10m")
    assert (await command.stdout.readline()).startswith(b"draining ")
    house.signal()
    told, _, _ = await until_closed(socket)
    assert told
    assert await exit_code(house, 60) == 0
    assert await asyncio.wait_for(command.wait(), 30) == 0
