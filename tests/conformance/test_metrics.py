"""The internal listener's own routes: metrics in each of Prometheus' forms, livez and readyz; what is in ops/."""

import asyncio
import pathlib
import re
import shutil
import subprocess
import uuid

import pytest
import tokens
from client import open_socket, sign_in
from contract import connect_request, failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
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


NATIVE = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


async def test_metrics_come_in_the_form_that_is_asked_for(house, http, room, name):
    await sign_in(house, room, tokens.token(name()))
    for accept, kind in [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text; version=1.0.0"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4"),
        (f"{NATIVE},application/openmetrics-text;version=1.0.0;q=0.8", "application/vnd.google.protobuf; proto=io.prometheus.client"),
    ]:
        answer = await http.get(f"{house.internal}/metrics", headers={"accept": accept})
        assert answer.headers["content-type"].startswith(kind), accept
        assert b"homeroom_sign_in_seconds" in answer.content


async def test_how_long_things_take_is_counted(build, http, room, name):
    house = build()
    for _ in range(3):
        await sign_in(house, room, tokens.token(name()))
    page = await samples(house, http)
    total = {}
    for sample, value in page.items():
        if match := re.match(r"^(homeroom_\w+_seconds_count)\b", sample):
            total[match[1]] = total.get(match[1], 0) + value
    assert total["homeroom_sign_in_seconds_count"] == 3
    assert total["homeroom_handshake_seconds_count"] >= 3
    # Each hears of those who came after: 2 + 1, and the first of all may have been told of himself to nobody.
    assert total["homeroom_delivery_seconds_count"] >= 3
    assert total["homeroom_store_commit_seconds_count"] >= 1
    assert total["homeroom_turn_seconds_count"] >= 3
    node = (await http.get(f"{house.internal}/api/v1/node")).json()
    assert node["delivery"]["frames"] == total["homeroom_delivery_seconds_count"]
    assert 0 <= node["delivery"]["p50_seconds"] <= node["delivery"]["p99_seconds"] < 60


async def test_readiness_has_reasons_for_machines(house, http):
    for path in ("livez", "readyz"):
        answer = await http.get(f"{house.internal}/{path}", headers={"accept": "application/json"})
        assert answer.status_code == 200
        assert answer.json() == {"status": "ok", "reasons": [], "warnings": []}


def prometheus_tool(name: str) -> str:
    """A program of Prometheus' package: where it is installed, or where tests/run put it."""
    found = shutil.which(name) or str(ROOT / f"target/tests/prometheus/usr/bin/{name}")
    if not pathlib.Path(found).exists():
        pytest.skip(f"no {name}: tests/run conformance gets it")
    return found


def promtool() -> str:
    """What checks pages and rules."""
    return prometheus_tool("promtool")


async def test_promtool_has_nothing_against_the_page(house, http, room, name):
    await sign_in(house, room, tokens.token(name()))
    page = (await http.get(f"{house.internal}/metrics", headers={"accept": "text/plain"})).content
    checked = subprocess.run([promtool(), "check", "metrics"], input=page, capture_output=True, timeout=120)
    found = (checked.stdout + checked.stderr).decode().splitlines()
    # The name of this one is the contract's.
    assert [line for line in found if line.strip() and not line.startswith("ws_connection_total ")] == []


def test_promtool_can_read_the_rules():
    for words in ("check rules homeroom.rules.yml", "check config prometheus.yml", "test rules homeroom.tests.yml"):
        arguments = words.split()
        done = subprocess.run([promtool(), *arguments], cwd=ROOT / "ops", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
