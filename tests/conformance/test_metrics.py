"""The internal listener's own routes: metrics in Prometheus' text, livez and readyz."""

import asyncio
import re
import uuid

import tokens
from client import open_socket, sign_in
from contract import connect_request, failure

SAMPLE = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*=\"([^\"\\\n]|\\.)*\",?)*\})? [-+0-9.eEinfNa]+$")


async def samples(house, http) -> dict[str, float]:
    """Every sample of the page, by its name with its labels."""
    answer = await http.get(f"{house.internal}/metrics")
    assert answer.status_code == 200
    assert re.match(r"text/plain|application/openmetrics-text", answer.headers["content-type"])
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    for line in lines:
        assert SAMPLE.match(line), line
    assert len({line.rsplit(" ", 1)[0] for line in lines}) == len(lines), "no sample stands twice"
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def counted(page: dict[str, float]) -> float:
    """All that `ws_connection{status=…}` counted."""
    statuses = {name: value for name, value in page.items() if re.match(r'^ws_connection\{.*status="[^"]+".*\}$', name)}
    assert statuses, "no ws_connection{status}"
    return sum(statuses.values())


async def test_connections_are_counted_and_the_gauge_returns_to_zero(build, http, name):
    house = build()
    assert (await samples(house, http))["ws_connection_total"] == 0
    room = uuid.uuid4()
    before = counted(await samples(house, http))
    sockets = [await sign_in(house, room, tokens.token(name()), shard=house.two_shards[index % 2]) for index in range(6)]
    refused = await open_socket(house)
    refused.send("rubbish")
    await refused.failure(failure("serialization_failed"))
    page = await samples(house, http)
    assert page["ws_connection_total"] == 6
    assert counted(page) >= before + 7
    for index, socket in enumerate(sockets):
        if index % 2:
            socket.abort()
        else:
            await socket.leave()
    for _ in range(600):
        page = await samples(house, http)
        if page["ws_connection_total"] == 0:
            break
        await asyncio.sleep(0.05)
    assert page["ws_connection_total"] == 0
    assert counted(page) >= before + 7


async def test_replacing_leaves_the_gauge_at_one(build, http, name):
    house = build()
    room, signed = uuid.uuid4(), tokens.token(name())
    for shard in house.two_shards * 3:
        last = await sign_in(house, room, signed, shard=shard)
    await last.quiet(0.3)
    assert (await samples(house, http))["ws_connection_total"] == 1


async def test_no_label_holds_a_room_an_agent_or_a_token(house, http, room, name):
    sub = name()
    await sign_in(house, room, tokens.token(sub))
    text = (await http.get(f"{house.internal}/metrics")).text
    assert str(room) not in text and room.hex not in text and sub not in text


async def test_livez_and_readyz(house, http):
    for path in ("livez", "readyz"):
        assert (await http.get(f"{house.internal}/{path}")).status_code == 200


async def test_a_hundred_failures_leave_nothing_behind(build, http, room):
    house = build()
    for _ in range(100):
        socket = await open_socket(house)
        socket.send(connect_request(room, "rubbish"))
        await socket.failure(failure("unauthenticated"))
    assert (await samples(house, http))["ws_connection_total"] == 0
