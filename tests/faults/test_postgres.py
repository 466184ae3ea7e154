"""PostgreSQL stops, dies, is slow, takes no connections: what was acknowledged holds, others are told so, and all goes on by itself."""

import asyncio
import os
import signal
import subprocess
import time
import uuid
from datetime import UTC, datetime

import pytest

import database
import postgres
import tokens
from client import sign_in
from contract import SUCCESS, compact, failure
from gauges import gauges, until
from house import PORTS
from proxy import Proxy
from quiz import CHOICE, Owner
from storm import Storm
from test_attendance import attendance
from test_disk import answer_to_sign_in, fill, readiness
from test_quiz_storm import acknowledged, answered

pytestmark = database.only_postgres

BUSY = failure("database_connection_acquisition_failed")
FAILED = failure("database_query_failed")
BACK_S = 15  # so soon after the end of a fault all is as it was


@pytest.fixture
def cluster():
    """A cluster of the test's own, which keeps what it committed."""
    try:
        postgres.program("initdb")
    except AssertionError as error:
        pytest.skip(str(error))
    cluster = postgres.Cluster(PORTS.free())
    cluster.start()
    yield cluster
    cluster.remove()


class Traffic:
    """Sign-ins and answers, one after the other, until it is stopped; what each was told."""

    def __init__(self, house, http, room, name):
        self.house, self.http, self.room, self.name = house, http, room, name
        self.sign_ins: dict[str, str] = {}
        self.answers: dict[str, str] = {}
        self.refused = 0
        self.stopped = asyncio.Event()

    async def begin(self):
        """Makes a quiz, and begins."""
        self.teacher = Owner(self.house, self.http, self.name("teacher"))
        quiz = await self.teacher.quiz([CHOICE] * 200)
        self.attempt = await self.teacher.begin(quiz["id"])
        self.tasks = [asyncio.create_task(self._comes()) for _ in range(3)] + [asyncio.create_task(self._answers())]

    async def _comes(self):
        while not self.stopped.is_set():
            sub = self.name("coming")
            self.sign_ins[sub] = await answer_to_sign_in(self.house, self.room, sub)
            await asyncio.sleep(0.05)

    async def _answers(self):
        for question in self.attempt.questions:
            while question["id"] not in self.answers:
                if self.stopped.is_set():
                    return
                body = {"question_id": question["id"], "answer": 1}
                answer = await self.attempt.ask("POST", f"{self.attempt.path}/answers", body)
                if answer.status_code == 201:
                    self.answers[question["id"]] = answer.json()["data"]["answer_id"]
                else:
                    self.refused += 1
                    assert answer.json()["code"] in ("SRV-001", "SRV-002"), answer.text
                await asyncio.sleep(0.05)

    async def end(self, start: datetime):
        """Stops, and holds what clients were told against what is kept."""
        self.stopped.set()
        await asyncio.gather(*self.tasks)
        documented = {SUCCESS, BUSY, FAILED}
        assert set(self.sign_ins.values()) <= documented, set(self.sign_ins.values()) - documented
        came_in = {tokens.agent_id(sub) for sub, said in self.sign_ins.items() if said == SUCCESS}
        rows = (await attendance(self.house, self.http, self.room, start)).json()
        assert came_in <= {row["agent_id"] for row in rows}
        inside = [row["agent_id"] for row in rows if row["left_at"] is None]
        assert len(inside) == len(set(inside)) and set(inside) <= came_in, "nobody is there twice, or was refused and is there"
        kept = {answer["question_id"]: answer["answer_id"] for answer in (await self.teacher.attempt(self.attempt.id))["answers"]}
        assert self.answers.items() <= kept.items()
        assert len(kept) <= len(self.answers) + 1


async def ready(house, http, code: int, within: float) -> float:
    """Waits until readiness is this; how long that took."""
    began = time.monotonic()
    while (await readiness(house, http))[0] != code:
        assert time.monotonic() - began < within, f"readiness is not {code} within {within} s"
        await asyncio.sleep(0.05)
    return round(time.monotonic() - began, 2)


async def comes_in(house, within: float, sub: str):
    """Somebody gets in within this time."""
    late = time.monotonic() + within
    while (said := await answer_to_sign_in(house, "d" * 32, sub)) != SUCCESS:
        assert said == BUSY and time.monotonic() < late, said


@pytest.mark.parametrize("away_s", [4, pytest.param(30, marks=pytest.mark.long)])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "killed"])
async def test_a_database_that_goes_away_loses_and_doubles_nothing(cluster, build, http, room, name, tell, how, away_s):
    house, start = build(database=cluster.create(), store={"acquire_timeout": "2s"}), datetime.now(UTC)
    member = await sign_in(house, "c" * 32, tokens.token(name("member")))
    traffic = Traffic(house, http, room, name)
    await traffic.begin()
    await asyncio.sleep(1)
    await asyncio.to_thread(cluster.end, how)
    gone = await ready(house, http, 503, 30)
    event = {"entity_type": "fault", "operation": "told", "payload": {"n": 1}}
    assert (await http.post(f"{house.internal}/api/v1/classrooms/{'c' * 32}/events", content=compact(event))).status_code == 200
    assert (await member.json())["payload"] == {"n": 1}, "who is in feels nothing"
    assert await answer_to_sign_in(house, "d" * 32, name("early")) == BUSY
    await asyncio.sleep(away_s)
    await asyncio.to_thread(cluster.start)
    back = await ready(house, http, 200, BACK_S + 45)
    await comes_in(house, BACK_S + 45, name("again"))
    await asyncio.sleep(0.5)
    await traffic.end(start)
    refused = sum(said != SUCCESS for said in traffic.sign_ins.values())
    tell(not_ready_after_s=gone, ready_again_after_s=back, came_in=len(traffic.sign_ins) - refused, refused=refused,
         answers=len(traffic.answers), answers_refused=traffic.refused)
    assert refused and traffic.refused and traffic.answers


async def test_a_slow_database_is_told_of_and_passes(cluster, build, http, room, name, tell):
    address = cluster.create()
    async with Proxy(PORTS.free(), cluster.port) as proxy:
        house = await asyncio.to_thread(
            lambda: build(database=address.replace(f":{cluster.port}/", f":{proxy.port}/"), store={"acquire_timeout": "2s"})
        )
        start = datetime.now(UTC)
        traffic = Traffic(house, http, room, name)
        await traffic.begin()
        await asyncio.sleep(0.5)
        proxy.late = 2.0
        assert await answer_to_sign_in(house, "d" * 32, name("early")) == BUSY
        slow = await ready(house, http, 503, 30)
        await asyncio.sleep(2)
        proxy.late = 0.0
        await comes_in(house, BACK_S + 45, name("again"))
        back = await ready(house, http, 200, BACK_S + 45)
        await asyncio.sleep(0.5)
        await traffic.end(start)
        tell(not_ready_after_s=slow, ready_again_after_s=back, sign_ins=len(traffic.sign_ins), answers=len(traffic.answers))
        await asyncio.to_thread(house.stop)


async def test_a_database_that_takes_no_connections_is_busy(cluster, build, http, room, name, tell):
    address = cluster.create()
    role = address.rsplit("/", 1)[1]
    house, start = build(database=address, store={"acquire_timeout": "2s"}), datetime.now(UTC)
    traffic = Traffic(house, http, room, name)
    await traffic.begin()
    await asyncio.sleep(0.5)
    cluster.ask(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    cluster.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
    await ready(house, http, 503, 30)
    assert await answer_to_sign_in(house, "d" * 32, name("early")) == BUSY
    answer = await attendance(house, http, room, start)
    assert answer.status_code == 503, answer.text
    cluster.ask(f"ALTER ROLE {role} CONNECTION LIMIT -1")
    back = await ready(house, http, 200, BACK_S + 45)
    await comes_in(house, BACK_S + 45, name("again"))
    await traffic.end(start)
    tell(ready_again_after_s=back, sign_ins=len(traffic.sign_ins), answers=len(traffic.answers))


async def test_nobody_who_waits_for_a_commit_in_doubt_is_told_wrongly(cluster, build, http, room, name):
    """The way to the database is cut again and again in the middle of batches."""
    address = cluster.create()
    async with Proxy(PORTS.free(), cluster.port) as proxy:
        house = await asyncio.to_thread(lambda: build(database=address.replace(f":{cluster.port}/", f":{proxy.port}/")))
        start = datetime.now(UTC)
        traffic = Traffic(house, http, room, name)
        await traffic.begin()
        for number in range(12):
            await asyncio.sleep(0.3)
            proxy.late = 0.02 * (number % 4)
            proxy.cut()
        proxy.late = 0.0
        await comes_in(house, BACK_S + 45, name("again"))
        await traffic.end(start)
        await asyncio.to_thread(house.stop)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "killed"])
async def test_a_restart_in_the_middle_of_a_storm_loses_and_doubles_nothing(cluster, build, http, name, crowds, tell, how):
    house = build(database=cluster.create(), store={"acquire_timeout": "20s"}, log={"level": "info"})
    base = house.database.rsplit("/", 1)[1]
    teacher = Owner(house, http, name("teacher"))
    quiz = (await teacher.quiz([CHOICE] * 40))["id"]
    crowd = crowds(house)
    with Storm(house, quiz, 200, 15) as storm:
        started = crowd.order(3000, rooms=[uuid.uuid4() for _ in range(100)], leave_every=4)
        while await answered(house, http) < 500 or (await gauges(house, http))['ws_connection{status="success"}'] < 500:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        await asyncio.to_thread(cluster.end, how)
        await asyncio.to_thread(cluster.start)
        away = round(time.monotonic() - began, 2)
        told = await asyncio.to_thread(storm.end)
    came = await asyncio.to_thread(crowd.answers, started)
    back = await ready(house, http, 200, BACK_S + 45)
    tell(away_s=away, answers=told["codes"]["0000"], sign_ins=came.entered, ready_after_the_storm_s=back,
         refused=dict(came.refusals) | {code: count for code, count in told["codes"].items() if code != "0000"})
    assert set(told["codes"]) <= {"0000", "SRV-001", "SRV-002"}, told["codes"]
    assert set(came.refusals) <= {"database_connection_acquisition_failed", "database_query_failed"}, came.refusals
    await until(house, http, lambda now: now["homeroom_store_overdue"] == 0, 60, "what was overdue is written")
    rows = cluster.ask("SELECT attempt_id, question_id, answer_id FROM answer JOIN attempt ON attempt.id = answer.attempt", base)
    assert {(attempt, question): answer for attempt, question, answer in rows} == acknowledged(told), "kept is what was acknowledged"
    inside = cluster.ask("SELECT agent_id FROM agent_session", base)
    past = cluster.ask("SELECT agent_id FROM agent_session_history", base)
    names = [agent for (agent,) in inside + past]
    assert len(names) == len(set(names)), "nobody was there twice"
    assert set(names) == {f"{label}.crowd.{tokens.OPEN}" for label in came.acknowledged}
    assert len(inside) == (await gauges(house, http))["homeroom_members"]


@pytest.fixture
def small_space(cluster):
    """A database of PostgreSQL on a disk of 24 MiB, and a file that may fill the rest of it; only root can make that."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = cluster.folder / "disk"
    disk.mkdir()
    owned = f"size=24m,mode=700,uid={cluster.owner.pw_uid},gid={cluster.owner.pw_gid}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", owned, "homeroom-test", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    cluster.ask(f"CREATE TABLESPACE small LOCATION '{disk}'")
    address = cluster.create()
    cluster.ask(f"ALTER DATABASE {address.rsplit('/', 1)[1]} SET TABLESPACE small")
    yield address, disk / "ballast"
    cluster.end()
    subprocess.run(["umount", disk], check=True)


async def test_a_full_disk_of_the_database_refuses_newcomers_and_nothing_else(small_space, cluster, build, http, room, name, tell):
    """Told apart from a database that is not there: what was asked of it failed."""
    address, ballast = small_space
    house, start = build(database=address), datetime.now(UTC)
    member = await sign_in(house, "c" * 32, tokens.token(name("member")))
    fill(ballast)
    said = {}
    while FAILED not in said.values():
        assert len(said) < 600, "the pages that are there have no room for so many"
        # Long names fill them soon.
        sub = name("newcomer" + "x" * 200)
        said[sub] = await answer_to_sign_in(house, room, sub)
    assert set(said.values()) <= {SUCCESS, FAILED}
    code, why = await readiness(house, http)
    assert code == 503 and "store" in why, (code, why)
    event = {"entity_type": "fault", "operation": "told", "payload": {"n": 1}}
    assert (await http.post(f"{house.internal}/api/v1/classrooms/{'c' * 32}/events", content=compact(event))).status_code == 200
    assert (await member.json())["payload"] == {"n": 1}
    assert (await attendance(house, http, room, start)).status_code == 200, "what is there can be read"
    ballast.unlink()
    back = await ready(house, http, 200, BACK_S + 45)
    await comes_in(house, BACK_S + 45, name("again"))
    tell(came_in_before=len(said) - 1, ready_again_after_s=back)
    kept = {row["agent_id"] for row in (await attendance(house, http, room, start)).json()}
    assert kept == {tokens.agent_id(sub) for sub, answer in said.items() if answer == SUCCESS}
    member.abort()


async def test_a_table_that_somebody_locks_is_waited_for_and_then_busy(cluster, build, http, room, name):
    """As by a change of tables that nobody announced."""
    house = build(database=cluster.create(), store={"acquire_timeout": "2s"})
    await sign_in(house, room, tokens.token(name("member")))
    holder = cluster.connect(house.database.rsplit("/", 1)[1])
    holder.run("BEGIN")
    holder.run("LOCK TABLE agent_session IN EXCLUSIVE MODE")
    waiting = asyncio.create_task(answer_to_sign_in(house, room, name("waiting")))
    assert await waiting == BUSY
    await ready(house, http, 503, 30)
    holder.run("ROLLBACK")
    holder.close()
    await ready(house, http, 200, BACK_S + 45)
    await comes_in(house, BACK_S + 45, name("again"))
