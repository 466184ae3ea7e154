"""Every JSON of the contract of tasks, made to happen: what is sent is the example with an id put in, what is heard is the example, but for
ids and times."""

import json
import re
from pathlib import Path

import pytest

from model_stub import said
from tasks import NOBODY, SOON, Office, held
from tasks_examples import JSON, TEXT, example, like

CODE = "function hello() { return 'world'; }"


def test_every_json_of_the_contract_is_in_a_test():
    """Each is named by its heading, and its number where there are several, in one of these files."""
    here = Path(__file__).parent
    text = re.sub(r"\s+", " ", "".join(path.read_text() for path in here.glob("test_tasks*.py")))
    assert len(JSON) == TEXT.count("```json") == 24
    missing = [key for key in JSON if f'"{key[0]}", {key[1]}' not in text]
    assert missing == []


def of(example_: dict, **over) -> str:
    """An example as a client would write it, with other ids in it."""
    assert set(over) <= set(example_["data"])
    return json.dumps(example_ | {"data": example_["data"] | over}, indent=2)


async def test_the_form_of_messages(clerk):
    """It stands for any type: none is called so."""
    form = example("Message Format", 1)
    socket = await clerk.connect()
    socket.socket.send(json.dumps(form))
    await socket.refused("invalid_request", form["type"], form["data"])


async def test_a_task_is_followed(clerk):
    """By hand, so that it stands exactly where the examples have it."""
    task = (await clerk.make(task="Generate a React component"))["id"]
    socket = await clerk.connect()
    socket.socket.send(of(example("Subscribe to Task Updates", 1), task_id=task))
    like(await socket.hear(), "Task Update", 1, status="pending", progress=0)
    await clerk.change(task, status="in_progress", progress=0.5)
    message = await socket.hear()
    like(message, "Task Update", 1)
    assert message["data"]["task_id"] == task
    socket.socket.send(of(example("Unsubscribe", 1), task_id=task))
    assert await socket.waiting() == []
    await clerk.change(task, status="failed", error="Error message")
    assert await socket.behind(task) == []
    socket.socket.send(of(example("Subscribe to Task Updates", 1), task_id=task))
    like(await socket.hear(), "Task Error", 1)


async def test_all_tasks_are_followed(clerk):
    socket = await clerk.connect()
    socket.socket.send(of(example("Subscribe to All Tasks", 1)))
    assert await socket.waiting() == []
    task = (await clerk.make())["id"]
    like(await socket.hear(), "Task Update", 1, status="pending", progress=0)
    socket.socket.send(of(example("Cancel Task", 1), task_id=task))
    like(await socket.hear(), "Task Error", 1, error="Cancelled by user")


async def test_an_agent_is_told_what_to_do(clerk, endpoint):
    """What its model says is code, and costs what the example does."""
    order = example("Execute Agent", 1)
    socket = await clerk.connect()
    socket.socket.send(json.dumps(order))
    like(await socket.hear(), "Task Update", 1, status="pending", progress=0)
    while (message := await socket.hear())["type"] == "task_update":
        like(message, "Task Update", 1, progress=float)
    like(message, "Task Completion", 1, result=dict, cost=float)
    shown = await clerk.task(message["data"]["task_id"])
    assert {name: shown[name] for name in order["data"]} == order["data"]

    endpoint.will(said("```javascript\n", CODE, "\n```"))
    task = await socket.execute(order["data"]["task"], "large-agent")
    message = (await socket.course(task))[-1]
    like(message, "Task Completion", 1, result=dict)
    shown, result = example("Example: Monitoring a Task", 4)["data"]["result"], message["data"]["result"]
    assert {name: result[name] for name in shown} == shown and set(result) - set(shown) == {"output"}


async def test_the_contracts_agent_is_there_without_any_settings(house, http):
    """On a bare machine, with the contract's message to the letter; and its workflow with three steps."""
    order = example("Execute Agent", 1)
    clerk = Office(house, http, None).person()
    socket = await clerk.connect()
    socket.socket.send(json.dumps(order))
    task = (await socket.heard("task_update"))["task_id"]
    like((await socket.course(task))[-1], "Task Completion", 1, result=dict, cost=float)
    shown = await clerk.task(task)
    assert {name: shown[name] for name in order["data"]} == order["data"]
    run = await clerk.start(code="print(1)")
    assert (run["status"], run["current_step_id"]) == ("in_progress", "step1")
    shown = await clerk.execution_becomes(run["id"], "completed")
    assert [result["step_id"] for result in shown["results"]] == ["step1", "step2", "step3"]
    assert [agent["id"] for agent in await clerk.get("/agents")][:3] == ["code-agent", "design-agent", "test-agent"]


async def test_an_execution_is_followed(clerk, endpoint):
    answer = held("criticised")
    endpoint.will(said("read"), answer)
    run = (await clerk.start())["id"]
    await endpoint.request(1, SOON)
    socket = await clerk.connect()
    socket.socket.send(of(example("Subscribe to Workflow Execution Updates", 1), execution_id=run))
    message = await socket.hear()
    like(message, "Workflow Execution Update", 1)
    assert message["data"]["execution_id"] == run
    answer.gate.set()
    like(await socket.hear(), "Workflow Execution Update", 1, current_step_id="step3")
    like(await socket.hear(), "Workflow Execution Update", 1, current_step_id="step3", status="completed")


async def test_the_status_of_the_system(build_office):
    """Five tasks that somebody works at and two that wait, on a server of its own."""
    office = build_office()
    clerk = office.person()
    tasks = [(await clerk.make())["id"] for _ in range(7)]
    for task in tasks[:4]:
        await clerk.change(task, status="in_progress")
    await clerk.change(tasks[4], status="verifying")
    socket = await clerk.connect()
    socket.socket.send(of(example("Subscribe to System Status", 1)))
    while (message := await socket.hear())["data"]["active_tasks"] != 5 or message["data"]["pending_tasks"] != 2:
        like(message, "System Status Update", 1, active_tasks=int, pending_tasks=int)
    like(message, "System Status Update", 1)


async def test_errors(clerk):
    socket = await clerk.connect()
    socket.socket.send("[]")
    like(await socket.hear(), "Error Message", 1)
    told = example("Error Handling", 1)
    socket.socket.send(of(example("Subscribe to Task Updates", 1), task_id=told["data"]["request_data"]["task_id"]))
    message = await socket.hear()
    like(message, "Error Handling", 1)
    assert message == told, "with its echo, and to the letter"
    socket.socket.send(of(example("Subscribe to Task Updates", 1), task_id=NOBODY))
    like(await socket.hear(), "Error Handling", 1)


async def test_the_life_of_a_connection(build_office):
    office = build_office(tasks={"ping_interval": "1s", "inactivity_timeout": "6s"})
    clerk = office.person()
    socket = await clerk.opened()
    like(json.loads(await socket.text(SOON)), "Connection Established", 1)
    ping = json.loads(await socket.text(SOON))
    like(ping, "Ping/Pong", 1)
    pong = example("Ping/Pong", 2) | {"data": ping["data"]}
    socket.send(json.dumps(pong))
    socket.send(json.dumps(example("Ping/Pong", 1)))
    while (message := json.loads(await socket.text(SOON)))["type"] == "ping":
        pass
    like(message, "Ping/Pong", 2)
    assert message == example("Ping/Pong", 2), "the client's own timestamp"
    while (message := json.loads(await socket.text(SOON)))["type"] == "ping":
        pass
    like(message, "Connection Closed", 1, message="Session timed out after 6 seconds of inactivity")
    assert await socket.close_code(SOON) in (1000, 1001)


@pytest.mark.parametrize("by", ["people", "a model"])
async def test_the_example_of_a_task_that_is_monitored(clerk, endpoint, by):
    """Each of its steps, with the task's id put in."""
    answer = held("```javascript\n", CODE, "\n```")
    endpoint.will(answer)
    if by == "people":
        task = (await clerk.make())["id"]
        await clerk.change(task, status="in_progress", progress=0.2)
    else:
        task = (await clerk.good("POST", "/agents/large-agent/execute", {"task": "Say hello"}))["id"]
        await endpoint.request(0, SOON)
    socket = await clerk.connect()
    socket.socket.send(of(example("Example: Monitoring a Task", 1), task_id=task))
    like(await socket.hear(), "Example: Monitoring a Task", 2, progress=float)
    if by == "people":
        await clerk.change(task, progress=0.5)
        like(await socket.hear(), "Example: Monitoring a Task", 3)
        await clerk.change(task, status="completed", result=example("Example: Monitoring a Task", 4)["data"]["result"])
        like(await socket.hear(), "Example: Monitoring a Task", 4, cost=float)
    else:
        answer.gate.set()
        while (message := await socket.hear())["type"] == "task_update":
            like(message, "Example: Monitoring a Task", 3, progress=float)
        shown = example("Example: Monitoring a Task", 4)["data"]["result"]
        like(message, "Example: Monitoring a Task", 4, result=dict)
        assert shown.items() <= message["data"]["result"].items()
    socket.socket.send(of(example("Example: Monitoring a Task", 5), task_id=task))
    assert await socket.waiting() == []
