"""Screens: who may see them, one viewer for each, and bytes both ways through the tunnel as they are."""

import asyncio
import hashlib
import os
import time

import pytest

import labs_agent
from labs import NOBODY, seen, upgrade_refused
from labs_agent import BANNER
from quiz import is_true_soon

MIB = 1 << 20


async def shown(lab, screen=labs_agent.echo, **does):
    """An agent with this screen and a session of an admin's that runs there."""
    agent = lab.agent()
    await agent.join(5)
    agent.does |= does
    agent.screen = screen
    return agent, (await lab.admin.running(user="x", platform=agent.platform))["id"]


async def opened(lab, session: str, shard: int | None = None, **options):
    """A viewer who has seen the banner."""
    viewer = await lab.admin.view(session, shard, **options)
    assert await seen(viewer, len(BANNER)) == BANNER
    return viewer


def memory(house) -> int:
    """What the server holds of the machine's memory, in bytes."""
    status = open(f"/proc/{house.process.pid}/status").read()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


# --- who may see


async def test_refusals_come_before_the_upgrade(lab):
    agent, id = await shown(lab)
    student = await lab.person()
    assert await upgrade_refused(lab.house, "AUTH_TOKEN_MISSING", f"/vnc-viewer/{id}") == 401
    assert await upgrade_refused(lab.house, "AUTH_TOKEN_MISSING", f"/vnc-viewer/{id}?token=") == 401
    assert await upgrade_refused(lab.house, "AUTH_TOKEN_INVALID", f"/vnc-viewer/{id}?token=rubbish") == 401
    assert await lab.admin.view_refused("SESSION_NOT_FOUND", NOBODY) == 404
    assert await student.view_refused("AUTH_INSUFFICIENT_PERMISSIONS", id) == 403
    await lab.admin.move(id, "hibernated")
    assert await lab.admin.view_refused("INVALID_STATE_TRANSITION", id) == 409
    await lab.admin.move(id, "running")
    await agent.leave()
    await lab.admin.agent_is(agent.name, "offline")
    assert await lab.admin.view_refused("AGENT_OFFLINE", id) == 503
    await lab.admin.move(id, "terminated")
    assert await lab.admin.view_refused("INVALID_STATE_TRANSITION", id) == 409
    assert not agent.streams


async def test_the_owner_and_an_admin_may_see(lab):
    agent, student = await lab.joined(), await lab.person()
    id = (await student.running(platform=agent.platform))["id"]
    for person in (student, lab.admin):
        assert await seen(await person.view(id), len(BANNER)) == BANNER


async def test_the_subprotocol_is_answered_when_it_is_offered_and_not_otherwise(lab):
    _, id = await shown(lab)
    for offered, answered in (((), None), (("binary",), "binary"), (("base64", "binary"), "binary"), (("base64",), None)):
        viewer = await opened(lab, id, subprotocols=offered)
        assert viewer.response.headers.get("Sec-WebSocket-Protocol") == answered


# --- bytes


async def test_what_is_said_comes_out_as_it_is_at_the_other_end(lab):
    for shards in (lab.house.two_shards, lab.house.two_shards[::-1]):
        agent, id = await shown(lab)
        viewer = await opened(lab, id, shards[0])
        tunnel = await agent.tunnel()
        assert tunnel.request["session_id"] == id and tunnel.request["data"]["vnc_port"] == 5900
        said = [b"\x00", bytes(range(256)) * 64, b"", os.urandom(100_000), b"RFB again"]
        for piece in said:
            viewer.send(piece)
        assert await seen(viewer, sum(map(len, said))) == b"".join(said)
        assert bytes(tunnel.received) == b"".join(said)


async def test_an_agent_that_does_without_binary_frames(lab):
    async def screen(tunnel):
        await tunnel.ready(encoding="base64")
        await tunnel.send(BANNER)

    agent, id = await shown(lab, screen)
    viewer = await opened(lab, id)
    viewer.send(bytes(range(256)))
    tunnel = await agent.tunnel()
    await tunnel.has(256)
    assert bytes(tunnel.received) == bytes(range(256)) and await agent.heard("vnc_data")


async def test_an_agent_that_says_bytes_as_text_is_answered_so(lab):
    async def screen(tunnel):
        await tunnel.ready()
        tunnel.text = True
        await tunnel.send(BANNER)

    agent, id = await shown(lab, screen)
    (await opened(lab, id)).send(b"hello")
    await agent.heard("vnc_data")


async def test_nothing_is_sent_to_an_agent_before_it_is_ready(lab):
    agent, id = await shown(lab, labs_agent.unreached)
    viewer = await lab.admin.view(id)
    viewer.send(b"early")
    tunnel = await agent.tunnel()
    await lab.admin.get("/sessions")
    await agent.heartbeat()
    assert tunnel.count == 0
    await tunnel.ready()
    await tunnel.has(5)
    assert bytes(tunnel.received) == b"early"


async def test_text_is_no_part_of_a_screen(lab):
    agent, id = await shown(lab)
    viewer = await opened(lab, id)
    viewer.send("text")
    assert await viewer.close_code() == 1003
    await asyncio.wait_for((await agent.tunnel()).closed.wait(), 5)


# --- ends


async def test_a_viewer_that_leaves_is_told_to_the_agent(lab):
    agent, id = await shown(lab)
    for count, end in enumerate((lambda viewer: viewer.say_close(), lambda viewer: viewer.abort()), 1):
        end(await opened(lab, id))
        tunnel = await agent.tunnel(count)
        await asyncio.wait_for(tunnel.closed.wait(), 30)
        assert await agent.heard("vnc_proxy_close", count) == {"type": "vnc_proxy_close", "proxy_id": tunnel.name}


@pytest.mark.parametrize("end", [(None, 1000), ("connection refused", 1011)], ids=["close", "error"])
async def test_an_agent_that_ends_a_tunnel_ends_its_viewer(lab, end):
    error, code = end
    agent, id = await shown(lab)
    viewer = await opened(lab, id)
    await (await agent.tunnel()).close(error)
    assert await viewer.close_code() == code
    assert await seen(await lab.admin.view(id), len(BANNER)) == BANNER, "and another may come"


async def test_a_screen_that_is_not_reached(lab):
    async def screen(tunnel):
        await tunnel.close("connection refused")

    _, id = await shown(lab, screen)
    assert await (await lab.admin.view(id)).close_code() == 1011


async def test_a_second_viewer_closes_the_first(lab):
    agent, id = await shown(lab)
    for first, second in (lab.house.two_shards, lab.house.two_shards[::-1]):
        one = await opened(lab, id, first)
        two = await opened(lab, id, second)
        assert await one.close_code() == 1008
        two.send(b"mine")
        assert await seen(two, 4) == b"mine"
    assert len(agent.streams) == 4
    assert len({tunnel.name for tunnel in agent.streams.values()}) == 4


async def test_an_agent_that_leaves_ends_its_viewers(lab):
    for leaves in ("leave", "vanish"):
        agent, id = await shown(lab)
        viewer = await opened(lab, id)
        (await agent.leave()) if leaves == "leave" else agent.vanish()
        assert await viewer.close_code() == 1011


@pytest.mark.parametrize("state", ["hibernated", "terminating", "terminated"])
async def test_a_session_that_stops_ends_its_viewer(lab, state):
    _, id = await shown(lab)
    viewer = await opened(lab, id)
    await lab.admin.move(id, state)
    assert await viewer.close_code() == 1000


# --- back-pressure


async def pour(tunnel, amount: int, piece: bytes) -> str:
    """Sends so much as credit allows; the checksum."""
    digest = hashlib.sha256()
    for _ in range(amount // len(piece)):
        await tunnel.send(piece)
        digest.update(piece)
    return digest.hexdigest()


async def drain(viewer, amount: int, timeout: float) -> str:
    """Takes so many bytes of a screen; their checksum."""
    digest, count = hashlib.sha256(), 0
    while count < amount:
        heard = await viewer.next(timeout)
        assert heard.kind == "binary", heard
        digest.update(heard.data)
        count += len(heard.data)
        viewer.everything.clear()
    assert count == amount
    return digest.hexdigest()


async def silent_screen(tunnel):
    """Counts, takes all that comes, and says what the test says."""
    tunnel.gives, tunnel.keeps = True, False
    await tunnel.ready(credit=MIB)


async def test_a_hundred_megabytes_each_way(lab):
    """At once, with equal checksums; what the server holds meanwhile is bounded."""
    amount, piece = 100 * MIB, os.urandom(MIB)
    agent, id = await shown(lab, silent_screen)
    viewer = await lab.admin.view(id, lab.house.two_shards[0])
    tunnel = await agent.tunnel()
    before, most = memory(lab.house), 0

    async def asks():
        for _ in range(amount // MIB):
            for start in range(0, MIB, 64 << 10):
                viewer.send(piece[start:start + (64 << 10)])
            while viewer.transport.get_write_buffer_size() > MIB:
                nonlocal most
                most = max(most, memory(lab.house))
                await asyncio.sleep(0.001)

    sent, got, _ = await asyncio.gather(pour(tunnel, amount, piece), drain(viewer, amount, 30), asks())
    assert sent == got
    await tunnel.has(amount, 60)
    assert tunnel.digest.hexdigest() == sent and tunnel.count == amount
    assert most - before < 64 * MIB, f"{(most - before) / MIB:.1f} MiB"


async def test_a_slow_viewer_slows_nobody_else(lab):
    """It reads 10 KB a second of what an agent pours; commands and another viewer of the same agent are served meanwhile."""
    agent, id = await shown(lab, silent_screen)
    slow = await lab.admin.view(id, lab.house.two_shards[1])
    slow.transport.pause_reading()
    before = memory(lab.house)
    pouring = asyncio.create_task(pour(await agent.tunnel(), 100 * MIB, bytes(MIB)))

    async def reads():
        while True:
            slow.transport.resume_reading()
            await asyncio.sleep(0.01)
            slow.transport.pause_reading()
            slow.everything.clear()
            while not slow.heard.empty():
                slow.heard.get_nowait()
            await asyncio.sleep(3)

    reading = asyncio.create_task(reads())

    async def stuck():
        tunnel = await agent.tunnel()
        return tunnel.credit == 0

    await is_true_soon(stuck)
    agent.screen = labs_agent.echo
    for _ in range(3):
        since = time.monotonic()
        other = (await lab.admin.running(user="x", platform=agent.platform))["id"]
        await lab.admin.move(other, "hibernated")
        await lab.admin.move(other, "running")
        viewer = await opened(lab, other)
        viewer.send(b"key")
        await seen(viewer, 3)
        assert time.monotonic() - since < 15, "what waits before the slow one would take hours"
    assert not pouring.done() and not agent.over.is_set()
    assert memory(lab.house) - before < 16 * MIB
    reading.cancel()
    pouring.cancel()
    slow.abort()


async def test_an_agent_that_does_not_count_may_pour_as_long_as_its_viewer_keeps_up(lab):
    async def screen(tunnel):
        await tunnel.ready()
        await pour(tunnel, 8 * MIB, bytes(64 << 10))

    agent, id = await shown(lab, screen)
    try:
        await drain(await lab.admin.view(id), 8 * MIB, 30)
    except AssertionError:
        assert (await agent.tunnel()).closed.is_set(), "it may also be told that the viewer did not"


async def test_a_tunnel_whose_viewer_does_not_keep_up_with_an_agent_that_does_not_count_ends(lab):
    agent, id = await shown(lab, labs_agent.unreached)
    slow = await lab.admin.view(id)
    slow.transport.pause_reading()
    tunnel = await agent.tunnel()
    await tunnel.ready()
    piece = bytes(64 << 10)
    for _ in range(1000):
        if tunnel.closed.is_set():
            break
        await tunnel.send(piece)
        await asyncio.sleep(0)
    await asyncio.wait_for(tunnel.closed.wait(), 30)
    slow.transport.resume_reading()
    while (heard := await slow.next()).kind == "binary":
        pass
    assert heard.kind == "close" and int.from_bytes(heard.data[:2]) == 1011
    agent.screen = labs_agent.echo
    await opened(lab, id)
    assert not agent.over.is_set(), "nothing else of the agent's is touched"


async def test_a_viewer_that_pours_is_not_read_until_the_agent_takes(lab):
    agent, id = await shown(lab, labs_agent.unreached)
    viewer = await lab.admin.view(id)
    tunnel = await agent.tunnel()
    before = memory(lab.house)
    await tunnel.ready(credit=1000)
    for _ in range(64 * 16):
        viewer.send(bytes(MIB // 16))
    await tunnel.has(1000)
    await lab.admin.get("/sessions")
    assert tunnel.count < 1000 + labs_agent.CHUNK
    assert viewer.transport.get_write_buffer_size() > 40 * MIB and memory(lab.house) - before < 8 * MIB
    tunnel.gives, tunnel.keeps = True, False
    await tunnel.grant(MIB)
    await tunnel.has(64 * MIB, 60)
    assert tunnel.count == 64 * MIB
