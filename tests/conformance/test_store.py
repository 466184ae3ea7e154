"""What is on disk: acknowledged sign-ins survive kill -9, and a store that cannot answer is told by its two names."""

import asyncio
from datetime import UTC, datetime, timedelta

import database
import tokens
from client import open_socket, sign_in
from contract import SUCCESS, connect_request, failure
from test_attendance import attendance, settled, times


async def test_after_kill_9_whoever_was_acknowledged_is_in_the_history(build, http, room, name):
    house, start = build(), datetime.now(UTC)
    await sign_in(house, room, tokens.token(name("early")))
    sockets = await asyncio.gather(*(open_socket(house) for _ in range(60)))
    subs = [name() for _ in sockets]
    for socket, sub in zip(sockets, subs):
        socket.send(connect_request(room, tokens.token(sub)))
    while sum(bool(socket.everything) for socket in sockets) < 20:
        await asyncio.sleep(0)
    house.kill()
    await asyncio.sleep(0.1)
    acknowledged = {
        tokens.agent_id(sub) for socket, sub in zip(sockets, subs)
        if socket.everything and (socket.everything[0].kind, socket.everything[0].data.decode()) == ("text", SUCCESS)
    }
    assert len(acknowledged) >= 20
    house.start()
    listed = await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers={"authorization": f"Bearer {tokens.token('reader')}"})
    assert listed.json() == []
    rows = (await attendance(house, http, room, start)).json()
    assert acknowledged <= {row["agent_id"] for row in rows}
    for row in rows:
        entered, left = times(row)
        assert left is not None and entered <= left <= datetime.now(UTC) + timedelta(seconds=1)


async def test_after_kill_9_the_same_agent_comes_in_again(build, http, room, name):
    house, start, sub = build(), datetime.now(UTC), name()
    for _ in range(3):
        await sign_in(house, room, tokens.token(sub))
        house.kill()
        house.start()
    socket = await sign_in(house, room, tokens.token(sub))
    rows = await settled(house, http, room, start, lambda rows: any(row["left_at"] is None for row in rows))
    assert {row["agent_id"] for row in rows} == {tokens.agent_id(sub)}
    await socket.leave()


async def test_a_store_without_a_place_in_time_is_an_acquisition_failure(build, room, name):
    house = build(store={"acquire_timeout": "3s"})
    await sign_in(house, room, tokens.token(name()))
    with database.held(house, reads=True):
        socket = await open_socket(house)
        socket.send(connect_request(room, tokens.token(name())))
        await socket.failure(failure("database_connection_acquisition_failed"))
    await sign_in(house, room, tokens.token(name()))


async def test_a_store_that_fails_is_a_query_failure(build, room, name):
    house = build()
    member = await sign_in(house, room, tokens.token(name()))
    beside = database.beside(house)
    beside.execute("ALTER TABLE agent_session RENAME TO agent_session_elsewhere")
    socket = await open_socket(house)
    socket.send(connect_request(room, tokens.token(name())))
    await socket.failure(failure("database_query_failed"))
    beside.execute("ALTER TABLE agent_session_elsewhere RENAME TO agent_session")
    beside.close()
    await sign_in(house, room, tokens.token(name()))
    assert (await member.json())["id"]["operation"] == "entered"
    await member.quiet(0.3)


async def test_the_tables_are_the_contracts(build, room, name):
    house, sub = build(), name()
    await sign_in(house, room, tokens.token(sub))
    beside = database.beside(house)
    assert beside.tables() >= {"agent_session", "agent_session_history", "replica" if database.KIND == "sqlite" else "node"}
    assert beside.columns("agent_session") >= {"id", "started_at"}
    pairs = [{name.removesuffix("_id") for name in unique} for unique in beside.unique("agent_session")]
    assert {"agent", "classroom"} in pairs, "unique per room and agent"
    assert beside.execute("SELECT count(*) FROM agent_session") == [(1,)]
    if database.KIND == "sqlite":
        assert beside.execute("PRAGMA journal_mode") == [("wal",)]
    beside.close()
