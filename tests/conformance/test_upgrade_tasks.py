"""Sockets of tasks while another process takes over: nobody is closed, and whoever follows what runs hears its end, once."""

import asyncio

from model_stub import said
from tasks import TaskSocket, held
from upgrading import SOON, fails_later, replaceable, until

LONG = "/count 10000 50"


def is_open(socket) -> bool:
    """Whether nothing but messages has come."""
    return not any(heard.kind in ("close", "end") for heard in socket.socket.everything)


async def settled(*sockets):
    """What they subscribed to is heard."""
    for socket in sockets:
        await socket.waiting()


async def test_sockets_of_tasks_notice_nothing(build_office, upgrade):
    office = build_office(tasks={"ping_interval": "1s", "pings_missed": 0, "messages_a_minute": 1_000_000})
    clerk, boss = office.person(), await office.admin()
    first, second = office.house.two_shards
    mine, other, all_of_them = await clerk.connect(first), await clerk.connect(second), await boss.connect(first)
    idle = await clerk.connect(second)
    by_hand = (await clerk.make(task="Sweep"))["id"]
    mine.subscribe("tasks")
    other.subscribe("task", task_id=by_hand)
    all_of_them.subscribe("tasks")
    assert (await other.heard("task_update"))["status"] == "pending"
    await settled(mine, all_of_them)
    await upgrade.well(office.house)
    await clerk.change(by_hand, status="in_progress", progress=0.4)
    for socket in (mine, other, all_of_them):
        assert (await socket.heard("task_update"))["progress"] == 0.4
    await clerk.change(by_hand, status="completed", result={"swept": True})
    for socket in (mine, other, all_of_them):
        assert (await socket.heard("task_completion"))["task_id"] == by_hand
    made = await idle.execute("/count 3")
    assert (await idle.course(made))[-1]["type"] == "task_completion"
    pings = len(idle.pings)
    async with asyncio.timeout(SOON):
        while len(idle.pings) < pings + 2:
            assert await idle.waiting() == []
            await asyncio.sleep(0.1)
    for socket in (mine, other, all_of_them, idle):
        assert is_open(socket)
    # They count as before.
    more = [await clerk.connect() for _ in range(7)]
    await TaskSocket(await clerk.opened()).exceeded()
    assert all(is_open(socket) for socket in more)
    office.house.check_log()


async def test_who_follows_a_task_that_runs_or_waits_hears_its_end_once(build_office, upgrade):
    office = build_office(tasks={"max_running": 1})
    clerk = office.person()
    sockets = [await clerk.connect(shard) for shard in office.house.two_shards]
    for socket in sockets:
        socket.subscribe("tasks")
    await settled(*sockets)
    # As many run at a time on each shard; what comes behind them waits. Names decide which: of so many each shard has two at least.
    made = [(await clerk.make(agent_id="code-agent", task=LONG))["id"] for _ in range(40)]
    running = [task for task in made if (await clerk.task(task))["status"] == "in_progress"]
    assert running

    async def runs():
        return [task["id"] for task in await clerk.get("/tasks", status="in_progress", limit=100)]

    await upgrade.well(office.house)
    async with asyncio.timeout(SOON):
        while len(begun := await runs()) < office.house.shards:
            await asyncio.sleep(0.02)
    waiting = [task for task in made if task not in running]
    assert set(begun) <= set(waiting), "what waited goes on"
    for task in running:
        assert (await clerk.task(task))["status"] == "failed"
    for task in waiting:
        await clerk.good("POST", f"/tasks/{task}/cancel")
    for socket in sockets:
        ends = set()
        while ends != set(made):
            heard = await socket.hear()
            assert heard["data"]["task_id"] not in ends, "nothing is heard behind an end"
            ends |= {heard["data"]["task_id"]} if heard["type"] == "task_error" else set()
        assert await socket.waiting() == [] and is_open(socket)


async def test_an_execution_goes_on_and_its_follower_hears_it(build_office, endpoint, upgrade):
    office = build_office()
    clerk = office.person()
    endpoint.will(said("read"), held("never"))
    run = (await clerk.start())["id"]
    socket = await clerk.connect(office.house.two_shards[1])
    asked = await endpoint.request(1)
    socket.subscribe("workflow_execution", execution_id=run)
    assert (await socket.heard("workflow_execution_update"))["current_step_id"] == "step2"
    again = held("criticised")
    endpoint.will(again, said("summed up"))
    await upgrade.well(office.house)
    await asked.gone()
    await endpoint.request(2)
    again.gate.set()
    heard = [await socket.heard("workflow_execution_update")]
    while heard[-1]["status"] != "completed":
        heard.append(await socket.heard("workflow_execution_update"))
    steps = [(one["status"], one["current_step_id"]) for one in heard]
    assert steps == [("in_progress", "step2"), ("in_progress", "step3"), ("completed", "step3")], "it is told that it goes on"
    assert await socket.waiting() == [] and is_open(socket)


async def test_tasks_made_while_it_hands_over_are_each_taken_or_refused(build_office, upgrade):
    """A socket has tasks made all the while, one after the other: each is taken, and has one end."""
    office = build_office(tasks={"messages_a_minute": 1_000_000})
    clerk = office.person()
    socket = await clerk.connect()
    ended, is_over = [], asyncio.Event()

    async def work():
        while not is_over.is_set():
            task = await socket.execute("/count 1")
            ended.append((await socket.course(task))[-1])

    working = asyncio.create_task(work())
    for _ in range(2):
        count = len(ended)
        await until(lambda: len(ended) >= count + 5 or working.done(), "nothing is done")  # noqa: B023
        await upgrade.well(office.house)
    count = len(ended)
    await until(lambda: len(ended) >= count + 5 or working.done(), "nothing is done any more")
    is_over.set()
    await working
    failed = [message for message in ended if message["type"] == "task_error"]
    assert len(failed) <= 2, "one that ran has failed"
    assert (await clerk.listed("/tasks"))[1] == len(ended) and is_open(socket)


async def test_a_program_that_fails_later_gives_sockets_of_tasks_back(build_office, upgrade):
    office = build_office()
    program = await replaceable(office.house)
    clerk = office.person()
    socket = await clerk.connect()
    task = (await clerk.make())["id"]
    socket.subscribe("task", task_id=task)
    await socket.heard("task_update")
    fails_later(program, office.house)
    pid, code, told = await upgrade(office.house)
    assert code == 1 and pid and "did not come up" in told, told
    await clerk.change(task, status="failed", error="no")
    assert (await socket.heard("task_error"))["task_id"] == task
    assert await socket.waiting() == [] and is_open(socket)
