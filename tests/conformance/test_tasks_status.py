"""`system_status`: what is said at once, when something changes and from time to time, and that it is true."""

import asyncio
import socket
import time

from quiz import is_true_soon
from tasks import PARTS, SOON, Stub, is_now

WELL = dict.fromkeys(PARTS, "operational")


def parts(data: dict) -> dict:
    """How the parts are."""
    return {name: data[name] for name in PARTS}


def counts(data: dict) -> tuple[int, int]:
    """Active and pending."""
    return data["active_tasks"], data["pending_tasks"]


async def until(listener, wanted) -> dict:
    """Hears the status until it is as wanted."""
    while not wanted(data := await listener.heard("system_status_update")):
        pass
    return data


async def test_who_subscribes_is_told_at_once(build_office):
    office = build_office()
    clerk = office.person()
    for shard in office.house.two_shards:
        listener = await clerk.connect(shard)
        since = time.time()
        for _ in range(2):
            listener.subscribe("system_status")
            said = await listener.heard("system_status_update")
            assert parts(said) == WELL and counts(said) == (0, 0)
            is_now(said["updated_at"], since)
        assert await listener.waiting() == []


async def test_the_counts_are_those_of_all_users_over_all_shards(build_office):
    """In progress and being verified are active; what is over is neither."""
    office = build_office()
    first, second = office.person(), office.person()
    listeners = [await first.connect(shard) for shard in office.house.two_shards]
    for listener in listeners:
        listener.subscribe("system_status")
    tasks = [(await clerk.make())["id"] for clerk in (first, second) * 4]
    for listener in listeners:
        await until(listener, lambda said: counts(said) == (0, 8))
    owner = dict(zip(tasks, (first, second) * 4))
    for task in tasks[:4]:
        await owner[task].change(task, status="in_progress")
    await owner[tasks[0]].change(tasks[0], status="verifying")
    await owner[tasks[1]].change(tasks[1], status="completed")
    await owner[tasks[2]].change(tasks[2], status="failed")
    await owner[tasks[7]].good("DELETE", f"/tasks/{tasks[7]}")
    await owner[tasks[3]].good("DELETE", f"/tasks/{tasks[3]}")
    for listener in listeners:
        await until(listener, lambda said: counts(said) == (1, 3))
    running = (await first.make(agent_id="code-agent", task="/count 10000 50"))["id"]
    for listener in listeners:
        await until(listener, lambda said: counts(said) == (2, 3))
    await first.good("POST", f"/tasks/{running}/cancel")
    for listener in listeners:
        await until(listener, lambda said: counts(said) == (1, 3))
    await office.restart(kill=True)
    again = await first.connect()
    again.subscribe("system_status")
    await until(again, lambda said: counts(said) == (1, 3))


async def test_it_is_told_from_time_to_time_until_it_is_unsubscribed_from(build_office):
    office = build_office(tasks={"status_interval": "300ms"})
    listener = await office.person().connect()
    listener.subscribe("system_status")
    since = time.monotonic()
    for _ in range(4):
        assert parts(await listener.heard("system_status_update")) == WELL
    assert time.monotonic() - since > 0.5
    listener.unsubscribe("system_status")
    await listener.waiting()
    await listener.socket.quiet(1)


async def health(office) -> dict:
    """`GET /health`."""
    answer = await office.http.get(f"{office.house.chat}/health")
    assert answer.status_code == 200 and set(answer.json()) == {"status", *PARTS}
    return answer.json()


async def test_an_endpoint_that_is_dead_shows(build_office):
    """From the start on, without anybody having asked it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens here, and nobody else can
        dead = {"name": "large", "url": f"http://127.0.0.1:{taken.getsockname()[1]}/v1/chat/completions", "model": "x"}
        office = build_office(models=[{"name": "gpt-4o"}, {"name": "gpt-4o-mini"}, dead | {"attempts": 1}])
        listener = await office.person().connect()
        listener.subscribe("system_status")
        said = await until(listener, lambda said: said["model_service_status"] != "operational")
        assert {**parts(said), "model_service_status": ""} == {**WELL, "model_service_status": ""}, "and nothing else does"
        said = await health(office)
        assert said["status"] == "degraded" and said["model_service_status"] != "operational"


async def test_an_endpoint_that_dies_and_comes_back_shows(build_office):
    own = Stub()
    try:
        port = int(own.base.rsplit(":", 1)[1])
        models = [{"name": "gpt-4o"}, {"name": "gpt-4o-mini"}, own.model("large", attempts=1)]
        office = build_office(models=models, tasks={"status_interval": "500ms"})
        clerk = office.person()
        listener, worker = await clerk.connect(office.house.two_shards[1]), await clerk.connect()
        listener.subscribe("system_status")
        assert parts(await listener.heard("system_status_update")) == WELL
    finally:
        own.close()
    task = await worker.execute("think", "large-agent")
    assert (await worker.course(task))[-1]["type"] == "task_error"
    await until(listener, lambda said: said["model_service_status"] != "operational")
    back = await asyncio.start_server(answering, "127.0.0.1", port)
    async with back:
        await until(listener, lambda said: parts(said) == WELL)

        async def is_healthy():
            return (await health(office))["status"] == "healthy"

        await is_true_soon(is_healthy, SOON)

    async def is_logged():
        lines = [line for line in office.house.log.read_text().splitlines() if "all parts are operational" in line]
        return len(lines) > 1 and "not all" in lines[0] and "models=degraded" in lines[0] and "not all" not in lines[1]

    await is_true_soon(is_logged, SOON)


async def answering(reader, writer):
    """An endpoint that is there, and has nothing to say but that."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
    finally:
        writer.close()
