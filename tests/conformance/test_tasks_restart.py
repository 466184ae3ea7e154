"""What was answered survives the end of the process, by SIGTERM and by SIGKILL: tasks and executions go on or end cleanly, each once."""

import asyncio
import json

import httpx
import pytest

from model_stub import said
from quiz import is_true_soon
from tasks import NOBODY, SOON, held

LONG = "/count 10000 50"

ends = pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])


async def ended(socket, kill: bool) -> list[dict]:
    """What a socket hears until the process has ended: after SIGTERM the reason and the Close, after SIGKILL nothing."""
    heard = []
    while True:
        frame = await socket.socket.next(SOON)
        if frame.kind == "end":
            assert kill, "after SIGTERM there is a Close"
            return heard
        if frame.kind == "close":
            assert heard.pop()["data"]["reason"] == "server_shutdown" and int.from_bytes(frame.data[:2]) == 1012
            return heard
        heard.append(json.loads(frame.data))


async def only_end(clerk, task: str) -> dict:
    """How a task ended, as one who subscribes is told it: once."""
    socket = await clerk.connect()
    socket.subscribe("tasks")
    socket.subscribe("task", task_id=task)
    heard = [message for message in await socket.behind(task) if message["data"]["task_id"] == task]
    (end,) = heard
    assert end["type"] in ("task_completion", "task_error"), end
    await socket.socket.leave()
    return end


@ends
async def test_a_task_that_ran_has_failed_and_says_so(build_office, endpoint, kill):
    """In a built-in agent and in a model: no task is stuck, its request is gone, and nobody is asked again for it."""
    office = build_office()
    clerk = office.person()
    endpoint.always = held("never")
    socket = await clerk.connect()
    counting = await socket.execute(LONG)
    await socket.heard("task_update")
    thinking = (await clerk.good("POST", "/agents/large-agent/execute", {"task": "think"}))["id"]
    asked = await endpoint.request(0, SOON)
    hearing = asyncio.create_task(ended(socket, kill))
    await office.restart(kill)
    heard = [message for message in await hearing if message["type"] != "task_update"]
    await asked.gone(SOON)
    for task in (counting, thinking):
        shown = await clerk.becomes(task, "failed")
        assert shown["error"] and shown["result"] is None
        end = await only_end(clerk, task)
        assert end["data"]["error"] == shown["error"]
    assert [message["type"] for message in heard] == ([] if kill else ["task_error"]), "who listened heard it once"
    assert (await clerk.listed("/tasks", status="in_progress")) == ([], 0) == (await clerk.listed("/tasks", status="pending"))
    assert len(endpoint.asked) == 1


@ends
async def test_a_task_that_waited_is_done_by_the_next_process(build_office, kill):
    office = build_office(shards=1, tasks={"max_running": 1})
    clerk = office.person()
    first = (await clerk.make(agent_id="code-agent", task=LONG))["id"]
    await clerk.becomes(first, "in_progress")
    waiting = [(await clerk.make(agent_id="code-agent", task=f"/count {number}"))["id"] for number in (1, 2, 3)]
    assert [(await clerk.task(task))["status"] for task in waiting] == ["pending"] * 3
    await office.restart(kill)
    for number, task in enumerate(waiting, 1):
        shown = await clerk.becomes(task, "completed")
        assert len(shown["result"]["output"].split()) == number
        assert (await only_end(clerk, task))["type"] == "task_completion"
    assert (await clerk.becomes(first, "failed"))["cost"] >= 0


@ends
async def test_an_execution_goes_on_from_the_steps_that_are_stored(build_office, endpoint, kill):
    """The step that was at work is done again, those that were done are not."""
    office = build_office()
    clerk = office.person()
    endpoint.will(said("read"), held("never"))
    run = (await clerk.start())["id"]
    socket = await clerk.connect()
    asked = await endpoint.request(1, SOON)
    socket.subscribe("workflow_execution", execution_id=run)
    assert (await socket.heard("workflow_execution_update"))["current_step_id"] == "step2"
    before = await clerk.execution(run)
    again = held("criticised")
    endpoint.will(again, said("summed up"))
    await office.restart(kill)
    await asked.gone(SOON)
    await endpoint.request(2, SOON)
    assert (await clerk.execution(run))["results"] == before["results"]
    late = await clerk.connect()
    late.subscribe("workflow_execution", execution_id=run)
    state = await late.heard("workflow_execution_update")
    assert (state["status"], state["current_step_id"]) == ("in_progress", "step2")
    again.gate.set()
    heard = [await late.heard("workflow_execution_update") for _ in range(2)]
    assert [(one["status"], one["current_step_id"]) for one in heard] == [("in_progress", "step3"), ("completed", "step3")]
    shown = await clerk.execution_becomes(run, "completed")
    assert [result["output"] for result in shown["results"]] == ["read", "criticised", "summed up"]
    assert len(endpoint.asked) == 4 and [prompt.startswith("Read") for prompt in endpoint.prompts()].count(True) == 1
    assert shown["cost"] == pytest.approx(0.15)


@ends
async def test_sides_that_were_done_are_not_done_again(build_office, endpoint, kill):
    """Of two steps at a time one is stored: only the other is asked for again."""
    office = build_office()
    clerk = office.person()
    endpoint.will(said("one side"), held("never"))
    run = (await clerk.start("diamond"))["id"]
    await endpoint.request(1, SOON)

    async def is_stored():
        return len((await clerk.execution(run))["results"]) == 2

    await is_true_soon(is_stored, SOON)
    stored = (await clerk.execution(run))["results"][1]["step_id"]
    await office.restart(kill)
    shown = await clerk.execution_becomes(run, "completed")
    other = {"left": "Right", "right": "Left"}[stored]
    assert endpoint.prompts()[2] == f"{other} of 1 2 " and len(endpoint.asked) == 4
    assert [result["step_id"] for result in shown["results"]].count(stored) == 1


@ends
async def test_what_was_told_to_be_there_is_there(build_office, endpoint, kill):
    """Every row that was answered, to the letter; and ids are not used twice."""
    office = build_office()
    clerk = office.person()
    socket = await clerk.connect()
    done = await socket.execute("/count 3", parameters={"temperature": 0.7, "ü": ["😀", 1.5]})
    await socket.course(done)
    by_hand = [(await clerk.make(task=f"task {number}", priority="high"))["id"] for number in range(5)]
    await clerk.change(by_hand[0], status="in_progress", progress=0.4)
    await clerk.change(by_hand[1], status="completed", result={"a": 1})
    await clerk.change(by_hand[2], status="failed", error="no")
    await clerk.good("DELETE", f"/tasks/{by_hand[3]}")
    run = (await clerk.start("counting", n=[1]))["id"]
    await clerk.execution_becomes(run, "completed")

    async def everything():
        return await clerk.get("/tasks", limit=100), await clerk.get("/orchestration/executions", limit=100)

    before = await everything()
    assert len(before[0]) == 5
    await office.restart(kill)
    assert await everything() == before
    await clerk.refused(404, "GET", f"/tasks/{by_hand[3]}")
    assert (await only_end(clerk, done))["data"]["cost"] == pytest.approx(0.05)
    await clerk.change(by_hand[0], progress=0.6)
    again = await clerk.connect()
    again.subscribe("task", task_id=by_hand[0])
    assert (await again.heard("task_update"))["progress"] == 0.6
    assert again.client_id != socket.client_id
    assert (await clerk.make())["id"] not in {task["id"] for task in before[0]} | {NOBODY}


async def test_kill_9_at_any_moment_leaves_no_task_without_an_end(build_office):
    """Tasks that come, run and end all the while: what was answered is there, and comes to one end."""
    office = build_office()
    clerk = office.person()
    answered = []

    async def ask():
        while True:
            try:
                made = await clerk.good("POST", "/agents/code-agent/execute", {"task": "/count 5 3"})
            except httpx.HTTPError:
                return
            answered.append(made["id"])

    for _ in range(2):
        asking = [asyncio.create_task(ask()) for _ in range(4)]
        count = len(answered)
        while len(answered) < count + 20:
            await asyncio.sleep(0.01)
        office.house.kill()
        await asyncio.gather(*asking)
        await asyncio.to_thread(office.house.start)

    for task in answered:
        async def is_over():
            return (await clerk.task(task))["status"] in ("completed", "failed")

        await is_true_soon(is_over, SOON)
    for task in answered[-15:]:
        await only_end(clerk, task)
    statuses = {status: (await clerk.listed("/tasks", status=status))[1] for status in ("pending", "in_progress", "completed", "failed")}
    assert statuses["pending"] == statuses["in_progress"] == 0 and statuses["completed"] > 0


async def test_while_it_stops_nothing_new_is_begun(build_office):
    """Who asks during the drain is told so, or finds nobody; what is answered as made is there afterwards."""
    office = build_office(stop={"drain": "1s"})
    clerk = office.person()
    socket = await clerk.connect()
    office.house.signal()
    answers = []
    try:
        while office.house.process.poll() is None:
            answers.append(await clerk.ask("POST", "/agents/code-agent/execute", {"task": "/count 1"}))
    except httpx.HTTPError:
        pass  # it is gone
    assert {answer.status_code for answer in answers} <= {200, 503}
    await ended(socket, kill=False)
    await office.has_stopped()
    await asyncio.to_thread(office.house.start)
    for made in (answer.json()["id"] for answer in answers if answer.status_code == 200):
        async def is_over():
            return (await clerk.task(made))["status"] in ("completed", "failed")

        await is_true_soon(is_over, SOON)
