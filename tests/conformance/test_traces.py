"""Traces by OTLP: which spans there are, whose children they are, whom `traceparent` reaches, and that nobody waits for a collector.

A program with the feature `otlp` is the one under test, or the one that TESTS_OTLP_BINARY names, as tests/run does.
"""

import asyncio
import os
import re
import subprocess
import tempfile
import time
import uuid
from functools import cache
from pathlib import Path

import pytest

import chat
import house as houses
import tasks
import tokens
from client import OPENED, Socket, sign_in
from collector import Collector
from contract import SUCCESS, connect_request
from house import House
from model_stub import busy, called, said, until
from permission import PermissionService
from test_metrics import samples

TOKEN = "collectors-token-4711"
WORDS = "zqtraceszwords"


@cache
def has_traces(binary: Path) -> bool:
    """Whether a program was built with the feature."""
    if not binary.exists():
        return False
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write("[traces]\nratio = 0.5\n")
        config.flush()
        said = subprocess.run([binary, "check-config", config.name], capture_output=True, text=True, timeout=60)
    return "built without traces" not in said.stdout + said.stderr


def program() -> Path:
    """The one to ask; none: these tests say so."""
    named = Path(os.environ.get("TESTS_OTLP_BINARY", houses.BINARY)).resolve()
    if not has_traces(named):
        pytest.skip(f"{named} was built without the feature otlp: TESTS_OTLP_BINARY may name another")
    return named


@pytest.fixture
def collector():
    """A collector of the test's own."""
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def asked():
    """A permission service of the test's own, whose headers are looked at."""
    service = PermissionService()
    yield service
    service.close()


@pytest.fixture
def build(tmp_path_factory, shards, asked, collector):
    """Starts servers that tell the collector all: `build(traces={"ratio": 0.0})`, with what else the environment says."""
    started = []

    def start(environment: dict | None = None, **settings) -> House:
        folder = tmp_path_factory.mktemp("traced")
        (folder / "headers").write_text(f"# of the collector\nAuthorization: Bearer {TOKEN}\n")
        shared = {"endpoint": collector.url, "headers_file": str(folder / "headers"), "service_name": "school", "ratio": 1.0}
        traces = {name: value for name, value in (shared | settings.pop("traces", {})).items() if value is not None}
        house = House(folder, shards, asked.url, {"traces": traces} | settings)
        house.binary, house.secrets = program(), [TOKEN]
        house.environment = environment or {}
        started.append(house)
        house.start()
        return house

    yield start
    for house in started:
        house.stop()


class Traced(Socket):
    """A client whose upgrade names a parent."""

    def __init__(self, uri: str, header: str):
        super().__init__(uri)
        self.header = header

    def connection_made(self, transport):
        self.transport = transport
        request = self.protocol.connect()
        request.headers["traceparent"] = self.header
        self.protocol.send_request(request)
        self._flush()


async def traced_socket(house, header: str) -> Traced:
    """An upgraded connection to presence."""
    uri = f"ws://127.0.0.1:{house.presence_port}/ws?{WORDS}=1"
    _, made = await asyncio.get_running_loop().create_connection(lambda: Traced(uri, header), "127.0.0.1", house.presence_port)
    OPENED.append(made)
    await asyncio.wait_for(made.opened, 30)
    return made


def parent(is_told: bool = True) -> tuple[str, str, str]:
    """A new `traceparent`, with its trace and its span."""
    trace, span = uuid.uuid4().hex, uuid.uuid4().hex[16:]
    return f"00-{trace}-{span}-{'01' if is_told else '00'}", trace, span


def test_a_program_without_traces_says_so(tmp_path):
    if has_traces(houses.BINARY):
        pytest.skip("this one was built with them")
    (tmp_path / "homeroom.toml").write_text('[traces]\nendpoint = "http://127.0.0.1:4318"\n')
    said = subprocess.run([houses.BINARY, "check-config", tmp_path / "homeroom.toml"], capture_output=True, text=True, timeout=60)
    assert said.returncode != 0 and "line 2: traces.endpoint: this homeroom was built without traces" in said.stdout + said.stderr


async def test_a_request_is_a_span_of_the_trace_that_it_names(build, collector, http, room, name):
    house, (header, trace, span) = build(), parent()
    signed = tokens.token(name())
    url = f"{house.url}/api/v1/classrooms/{room}/agents"
    headers = {"traceparent": header, "authorization": f"Bearer {signed}", "x-request-id": WORDS}
    assert (await http.get(url, params={WORDS: "1"}, headers=headers)).status_code == 200
    told = await collector.span("GET /api/v1/classrooms/{classroom}/agents", trace)
    assert (told.parent, told.kind, told.has_failed, told.flags) == (span, "server", False, 0x301)
    assert told.attributes["http.response.status_code"] == 200
    assert told.attributes["http.route"] == "/api/v1/classrooms/{classroom}/agents"
    assert told.attributes["homeroom.api"] == "presence" and told.attributes["homeroom.shard"] in range(house.shards)
    assert set(told.attributes) == {"http.request.method", "http.route", "http.response.status_code", "homeroom.api", "homeroom.shard"}
    assert told.resource["service.name"] == "school" and told.resource["service.version"] and told.resource["service.instance.id"]
    assert 0 < told.ended - told.began < 60e9 and abs(told.began / 1e9 - time.time()) < 120
    # Without a parent, with one that is none, with two: a trace of its own. A refusal is no failure of ours.
    for bad in ([], [("traceparent", header.upper())], [("traceparent", header)] * 2):
        answer = await http.get(f"{house.url}/nowhere/{WORDS}", headers=bad)
        assert answer.status_code == 404
    await until(lambda: len(collector.found("GET")) >= 3, 60, "not three spans without a route")
    for other in collector.found("GET"):
        assert (other.parent, other.has_failed) == ("", False) and other.trace != trace
    # A word that is no method, and what only looks whether we live.
    assert (await http.request("ZQTRACES", f"{house.url}/nowhere")).status_code == 404
    assert (await collector.span("HTTP")).attributes["http.request.method"] == "_OTHER"
    assert not [told for told in collector.spans if told.name.endswith(("/readyz", "/metrics"))]
    await nothing_secret(house, collector, str(room), signed, header)


async def nothing_secret(house, collector, *more: str):
    """Neither tokens nor words in any byte that the collector got; its own token in each request's head, and nowhere else."""
    assert collector.bodies and all(headers["authorization"] == f"Bearer {TOKEN}" for headers in collector.headers)
    assert {headers["path"] for headers in collector.headers} == {"/v1/traces"}
    whole = b"".join(collector.bodies).lower()
    for secret in (TOKEN, WORDS, "bearer", "eyj", *more):
        assert secret.lower().encode() not in whole, secret
    assert TOKEN not in house.log.read_text()


async def test_a_sign_in_is_a_span_and_its_permission_service_gets_it(build, collector, asked, room, name):
    house, (header, trace, span) = build(), parent()
    signed = tokens.token(name(), tokens.ASKED)
    socket = await traced_socket(house, header)
    socket.send(connect_request(room, signed))
    assert await socket.text() == SUCCESS
    told = await collector.span("sign_in", trace, **{"homeroom.outcome": "done"})
    assert (told.parent, told.kind, told.has_failed) == (span, "server", False)
    assert told.events == ["upgrade_asked", "permission_asked", "token_judged"]
    assert told.attributes["homeroom.api"] == "presence"
    asking = await collector.span("ask permission", trace)
    assert (asking.parent, asking.kind) == (told.id, "client")
    assert asking.attributes["homeroom.role"] == "permission_service"
    assert (asking.attributes["server.address"], asking.attributes["http.response.status_code"]) == ("127.0.0.1", 200)
    assert asking.attributes["homeroom.outcome"] == "allowed"
    assert [headers["traceparent"] for headers in asked.headers] == [asking.traceparent]
    assert told.began <= asking.began and asking.ended <= told.ended
    # Who is refused, and by a service that fails.
    for stem, outcome, failed in (("denied", "refused", False), ("broken", "refused", True)):
        header, trace, _ = parent()
        socket = await traced_socket(house, header)
        socket.send(connect_request(room, tokens.token(name(stem), tokens.ASKED)))
        await socket.text()
        told = await collector.span("sign_in", trace, **{"homeroom.outcome": outcome, "homeroom.reason": "access_denied"})
        asking = await collector.span("ask permission", trace)
        assert (told.has_failed, asking.has_failed, asking.parent) == (False, failed, told.id)
    # Who goes before he is in.
    header, trace, _ = parent()
    (await traced_socket(house, header)).abort()
    assert (await collector.span("sign_in", trace)).attributes["homeroom.outcome"] == "gone"
    await nothing_secret(house, collector, str(room), signed)


async def test_who_is_not_told_of_is_passed_on_as_that(build, collector, asked, room, name):
    house, (header, trace, span) = build(), parent(is_told=False)
    socket = await traced_socket(house, header)
    socket.send(connect_request(room, tokens.token(name(), tokens.ASKED)))
    assert await socket.text() == SUCCESS
    [passed_on] = [headers["traceparent"] for headers in asked.headers]
    assert re.fullmatch(f"00-{trace}-[0-9a-f]{{16}}-00", passed_on) and span not in passed_on
    await sign_in(house, room, tokens.token(name()))
    await collector.span("sign_in")
    assert not [told for told in collector.spans if told.trace == trace]


async def test_of_traces_that_begin_here_none_is_told_of_with_a_ratio_of_nothing(build, collector, http, room, name):
    house, (header, trace, _) = build(traces={"ratio": 0.0}), parent()
    for _ in range(20):
        await http.get(f"{house.url}/healthz")
    await sign_in(house, room, tokens.token(name()))
    await http.get(f"{house.url}/healthz", headers={"traceparent": header})
    await collector.span("GET /healthz")
    assert {told.trace for told in collector.spans} == {trace}


async def test_a_model_and_a_tool_get_the_request_that_asks_for_them(build, collector, stub, http, name):
    house, (header, trace, span) = build(**chat.settings(stub)), parent()
    person = chat.Person(house, http, name("anna"))
    session = await person.session(agent_id="large")
    stub.will(called("send_email", {"to": WORDS, "subject": WORDS}), said("Done"))
    await person.good("POST", f"{session.path}/chat", {"content": WORDS}, headers={"traceparent": header}, timeout=60)
    request = await collector.span("POST /api/v1/sessions/{session}/chat", trace)
    await until(lambda: len(collector.found("ask model", trace)) == 2, 60, "the model was asked twice")
    models, [tool] = collector.found("ask model", trace), collector.found("call tool", trace)
    assert request.parent == span
    for asking in (*models, tool):
        assert (asking.parent, asking.kind, asking.has_failed) == (request.id, "client", False)
        assert asking.attributes["server.address"] == "127.0.0.1" and asking.attributes["http.response.status_code"] == 200
    assert {asking.attributes["gen_ai.request.model"] for asking in models} == {"large"}
    assert models[0].attributes["gen_ai.usage.input_tokens"] == 7
    assert tool.attributes["gen_ai.tool.name"] == "send_email"
    assert [asked.headers["traceparent"] for asked in stub.asked] == [asking.traceparent for asking in models]
    assert [headers["traceparent"] for headers in stub.tool_headers] == [tool.traceparent]
    # Tries are counted.
    stub.will(busy(retry_after=0), said("Now"))
    header, trace, _ = parent()
    await person.good("POST", f"{session.path}/chat", {"content": "again"}, headers={"traceparent": header}, timeout=60)
    assert (await collector.span("ask model", trace)).attributes["http.request.resend_count"] == 1
    await nothing_secret(house, collector, person.token, person.email)


async def test_a_task_keeps_the_request_that_it_comes_from(build, collector, stub, http, name):
    house, (header, trace, _) = build(**chat.settings(stub)), parent()
    person = tasks.Person(house, http, name("clerk"), chat.signed(house, str(uuid.uuid4()), "clerk@example.com"))
    await person.good("POST", "/agents/large/execute", {"task": WORDS, "model_id": "large"}, headers={"traceparent": header})
    request = await collector.span("POST /api/v1/agents/{agent}/execute", trace)
    asking = await collector.span("ask model", trace)
    assert asking.parent == request.id
    assert (await stub.request(0)).headers["traceparent"] == asking.traceparent
    await nothing_secret(house, collector, person.token)


async def test_what_the_server_does_by_itself_is_told(build, collector, http, room, name):
    house = build()
    await sign_in(house, room, tokens.token(name()))
    commit = await collector.span("store commit")
    assert commit.attributes["homeroom.store.batch_size"] >= 1 and commit.attributes["homeroom.store.waited_seconds"] >= 0
    house.signal(1)
    assert not (await collector.span("reload")).has_failed
    whole = house.config.read_text()
    house.config.write_text(whole + "\n[nonsense]\n")
    house.signal(1)
    await until(lambda: [told for told in collector.found("reload") if told.has_failed], 60, "no reload that failed")
    house.config.write_text(whole)
    house.stop()
    # What was there at the stop is sent before the end.
    drain = await collector.span("drain")
    assert drain.ended - drain.began >= 0.2e9
    await nothing_secret(house, collector, str(room))


async def flood(house, requests: int):
    """So many requests over one connection, one behind the other; each is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.presence_port)
    for _ in range(0, requests, 100):
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: h\r\n\r\n" * 100)
        answered = 0
        while answered < 100:
            line = await asyncio.wait_for(reader.readline(), 60)
            assert line, "the connection ended"
            answered += b"HTTP/1.1 200" in line  # behind the body before it
    writer.close()


def dropped(page: dict, reason: str) -> float:
    """How many spans are lost for this reason."""
    return page[f'homeroom_traces_dropped_total{{reason="{reason}"}}']


async def test_a_collector_that_is_away_costs_spans_and_one_line(build, collector, http, room, name):
    collector.close()
    house = build()
    await flood(house, 9_500)
    member = await sign_in(house, room, tokens.token(name()))
    page = await samples(house, http)
    assert dropped(page, "queue_full") > 0 and page["homeroom_traces_waiting"] > 8_000
    assert page["homeroom_traces_exported_total"] == 0
    await member.quiet(2.5)
    assert house.log.read_text().count("the collector of traces takes no spans") == 1
    began = time.monotonic()
    house.stop()
    assert time.monotonic() - began < 30, "two seconds for the last spans, and what a stop needs"
    assert "the collector of traces has not taken the last of them" in house.log.read_text()


async def test_a_collector_that_is_slow_holds_nobody_up(build, collector, http, room, name):
    collector.fault = "hang"
    house = build({"OTEL_EXPORTER_OTLP_TIMEOUT": "1500"})
    await sign_in(house, room, tokens.token(name()))
    await until(lambda: collector.asked, 60, "the collector is asked")
    began = time.monotonic()
    await flood(house, 300)
    assert time.monotonic() - began < 30
    assert collector.spans == []
    collector.fault = None
    # What waited is there, once.
    await collector.span("sign_in")
    await until(lambda: len(collector.found("GET /healthz")) >= 300, 60, "the requests are told")
    ids = [told.id for told in collector.spans]
    assert len(set(ids)) == len(ids)
    collector.released.set()


@pytest.mark.parametrize("fault", ["refuse", "partial", "away"])
async def test_what_a_collector_does_not_take_is_counted_or_sent_again(build, collector, http, fault):
    house = build()
    collector.fault = fault
    await http.get(f"{house.url}/healthz")
    await until(lambda: collector.asked, 60, "the collector is asked")
    if fault == "away":
        collector.fault = None
        await collector.span("GET /healthz")
        assert dropped(await samples(house, http), "refused") == 0
        return

    async def counted() -> bool:
        page = await samples(house, http)
        return dropped(page, "refused") >= 1 and (fault == "refuse") == (page["homeroom_traces_exported_total"] == 0)

    for _ in range(600):
        if await counted():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("nothing is counted as refused")


async def test_the_variables_of_opentelemetry_stand_in_for_settings(build, collector, http):
    house = build(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/below/", "OTEL_SERVICE_NAME": "by-variable",
         "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}"},
        traces={"endpoint": None, "headers_file": None, "service_name": None},
    )
    await http.get(f"{house.url}/healthz")
    told = await collector.span("GET /healthz")
    assert told.resource["service.name"] == "by-variable"
    assert collector.headers[0]["path"] == "/below/v1/traces" and collector.headers[0]["authorization"] == f"Bearer {TOKEN}"


def test_what_cannot_be_is_told_at_the_start_without_a_secret(tmp_path, asked, shards):
    for number, (traces, environment, expected) in enumerate([
        ({"endpoint": f"{TOKEN}:4318"}, {}, "traces.endpoint"),
        ({"endpoint": "http://127.0.0.1:1", "headers_file": "headers"}, {}, "traces.headers_file"),
        ({"endpoint": "http://127.0.0.1:1"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf alone"),
        ({"endpoint": "http://127.0.0.1:1"}, {"OTEL_EXPORTER_OTLP_HEADERS": TOKEN}, "OTEL_EXPORTER_OTLP_HEADERS"),
    ]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "headers").write_text(TOKEN)
        house = House(folder, shards, asked.url, {"traces": traces})
        house.binary, house.environment = program(), environment
        with pytest.raises(houses.Failure) as failure:
            house.start()
        assert expected in str(failure.value) and TOKEN not in str(failure.value)
