"""Workflows of the settings: executions step by step and side by side, what is told of them, and how they end."""

import asyncio

import pytest

from model_stub import cut, said
from tasks import DIAMOND, NOBODY, REVIEW, SOON, STEP, WORKFLOW, TaskSocket, held

BOTTOM = "bottom"


def told(messages: list[dict]) -> list[tuple[str, str]]:
    """Status and step of each, those that say the same once."""
    pairs = [(message["data"]["status"], message["data"]["current_step_id"]) for message in messages]
    return [pair for place, pair in enumerate(pairs) if place == 0 or pairs[place - 1] != pair]


async def course(socket: TaskSocket, execution: str) -> list[dict]:
    """All that is heard of an execution until it is over; nothing else may come in between."""
    messages = [await socket.hear()]
    while messages[-1]["data"]["status"] not in ("completed", "failed"):
        messages.append(await socket.hear())
    for message in messages:
        assert (message["type"], message["data"]["execution_id"]) == ("workflow_execution_update", execution), messages
    return messages


async def behind(socket: TaskSocket, execution: str) -> list[dict]:
    """What there was to hear of an execution that is over: its home answers behind all that it has told, and says how it ended."""
    socket.unsubscribe("workflow_execution", execution_id=execution)
    waiting = await socket.waiting()
    socket.subscribe("workflow_execution", execution_id=execution)
    heard = [await socket.hear(), *await socket.waiting()]
    assert heard[0]["data"]["status"] in ("completed", "failed") and len(heard) == 1, heard
    return waiting


async def test_three_steps_one_after_the_other(office, clerk, endpoint):
    """Each is told the input and what came before, and is shown while it works; a second socket hears the same."""
    answers = [held("read"), held("criticised"), held("summed up")]
    endpoint.will(*answers)
    run = await clerk.start(code="print(1)")
    assert (run["status"], run["current_step_id"], run["workflow_id"]) == ("in_progress", "step1", "code-review-workflow")
    assert (run["input"], run["results"], run["user_id"]) == ({"code": "print(1)"}, [], clerk.user)
    sockets = [await clerk.connect(shard) for shard in office.house.two_shards]
    for socket in sockets:
        socket.subscribe("workflow_execution", execution_id=run["id"])
        state = await socket.heard("workflow_execution_update")
        assert (state["execution_id"], state["status"], state["current_step_id"]) == (run["id"], "in_progress", "step1")
    for number, answer in enumerate(answers):
        await endpoint.request(number, SOON)
        assert len(endpoint.asked) == number + 1, "no step begins before the one that it needs"
        shown = await clerk.execution(run["id"])
        assert (shown["status"], shown["current_step_id"], len(shown["results"])) == ("in_progress", f"step{number + 1}", number)
        answer.gate.set()
    heard = [await course(socket, run["id"]) for socket in sockets]
    assert told(heard[0]) == [("in_progress", "step2"), ("in_progress", "step3"), ("completed", "step3")]
    assert heard[0] == heard[1]
    assert endpoint.prompts()[0].replace(" ", "") == 'Read{"code":"print(1)"}'
    assert endpoint.prompts()[1:] == ["Criticise read", "Sum up read and criticised"]
    shown = await clerk.execution(run["id"])
    assert [(result["step_id"], result["output"]) for result in shown["results"]] == [
        ("step1", "read"), ("step2", "criticised"), ("step3", "summed up"),
    ]
    assert (shown["status"], shown["error"]) == ("completed", None)
    assert shown["cost"] == pytest.approx(0.15) and [result["cost"] for result in shown["results"]] == [pytest.approx(0.05)] * 3
    for socket in sockets:
        assert await behind(socket, run["id"]) == []


async def test_two_steps_at_a_time(clerk, endpoint):
    """Both sides are asked while neither has answered; the bottom waits for both. The first listed of those at work is shown."""
    sides, bottom = held("a side"), held("the bottom")
    endpoint.will(sides, sides, bottom)
    run = (await clerk.start("diamond"))["id"]
    socket = await clerk.connect()
    socket.subscribe("workflow_execution", execution_id=run)
    both = [await endpoint.request(number, SOON) for number in (0, 1)]
    assert all(asked.is_open for asked in both)
    assert sorted(endpoint.prompts()) == ["Left of 1 2 ", "Right of 1 2 "]
    shown = await clerk.execution(run)
    assert (shown["current_step_id"], [result["step_id"] for result in shown["results"]]) == ("left", ["top"])
    sides.gate.set()
    await endpoint.request(2, SOON)
    assert endpoint.prompts()[2] == "Under a side and a side"
    bottom.gate.set()
    heard = await course(socket, run)
    steps = [step for _, step in told(heard)]
    assert told(heard)[-2:] == [("in_progress", BOTTOM), ("completed", BOTTOM)]
    assert set(steps) <= {"top", "left", "right", BOTTOM} and steps == sorted(steps, key=["top", "left", "right", BOTTOM].index)
    shown = await clerk.execution(run)
    order = [result["step_id"] for result in shown["results"]]
    assert (order[0], set(order[1:3]), order[3:]) == ("top", {"left", "right"}, [BOTTOM])


async def test_a_workflow_that_needs_no_model(clerk):
    run = (await clerk.start("counting", n=1))["id"]
    shown = await clerk.execution_becomes(run, "completed")
    assert [(result["step_id"], result["output"]) for result in shown["results"]] == [("one", "1 2 "), ("two", "1 2 3 ")]
    assert shown["current_step_id"] == "two" and shown["completed_at"] is not None
    assert await clerk.listed("/tasks") == ([], 0), "steps are no tasks of their own"


async def test_a_step_that_fails_is_the_end_for_all(clerk, endpoint):
    """What works beside it is broken off, and what comes behind never begins."""
    endpoint.will(held("never"))
    endpoint.always = cut("half")  # of both sides, which come as they come, one waits and the other fails
    run = (await clerk.start("diamond"))["id"]
    socket = await clerk.connect()
    socket.subscribe("workflow_execution", execution_id=run)
    heard = await course(socket, run)
    assert heard[-1]["data"]["status"] == "failed" and await behind(socket, run) == []
    await endpoint.asked[0].gone(SOON)
    shown = await clerk.execution(run)
    assert shown["error"].split(":")[0] in ("left", "right") and shown["completed_at"] is None
    assert [result["step_id"] for result in shown["results"]] == ["top"]
    assert len(endpoint.asked) == 2
    await clerk.refused(400, "POST", f"/orchestration/executions/{run}/cancel")


async def test_an_execution_is_cancelled_midway(office, clerk, endpoint):
    endpoint.will(said("read"), held("never"))
    run = (await clerk.start())["id"]
    sockets = [await clerk.connect(shard) for shard in office.house.two_shards]
    asked = await endpoint.request(1, SOON)
    for socket in sockets:
        socket.subscribe("workflow_execution", execution_id=run)
        assert (await socket.heard("workflow_execution_update"))["current_step_id"] == "step2"
    said_ = await clerk.good("POST", f"/orchestration/executions/{run}/cancel")
    assert (said_["id"], said_["status"], said_["error"]) == (run, "failed", "Cancelled by user")
    await asked.gone(SOON)
    for socket in sockets:
        (end,) = await course(socket, run)
        assert end["data"]["status"] == "failed"
        assert await behind(socket, run) == []
    await clerk.refused(400, "POST", f"/orchestration/executions/{run}/cancel")
    assert await clerk.execution(run) == said_
    assert len(endpoint.asked) == 2


async def test_of_many_who_cancel_at_once_one_does_it(clerk, endpoint):
    endpoint.will(held("never"))
    run = (await clerk.start())["id"]
    await endpoint.request(0, SOON)
    answers = await asyncio.gather(*(clerk.ask("POST", f"/orchestration/executions/{run}/cancel") for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    await endpoint.asked[0].gone(SOON)


async def test_executions_are_their_owners_alone(office, clerk):
    run = (await clerk.start("counting"))["id"]
    stranger, boss = office.person(), await office.admin()
    for id in (run, NOBODY, "execution-123"):
        await stranger.refused(404, "GET", f"/orchestration/executions/{id}")
        await stranger.refused(404, "POST", f"/orchestration/executions/{id}/cancel")
    assert await stranger.listed("/orchestration/executions") == ([], 0)
    assert (await boss.execution(run))["user_id"] == clerk.user
    assert run in (await boss.listed("/orchestration/executions", limit=100))[0]


async def test_workflows_are_as_they_are_configured(clerk):
    listed = await clerk.get("/orchestration/workflows")
    assert [workflow["id"] for workflow in listed] == ["code-review-workflow", "counting", "diamond"]
    assert all(set(workflow) == WORKFLOW for workflow in listed)
    for configured in (REVIEW, DIAMOND):
        shown = await clerk.get(f"/orchestration/workflows/{configured['id']}")
        assert {name: shown[name] for name in ("id", "name", "description")} == {
            name: configured[name] for name in ("id", "name", "description")
        }
        assert all(set(step) == STEP for step in shown["steps"])
        assert [(step["id"], step["name"], step["agent_id"], step["task"], set(step["needs"])) for step in shown["steps"]] == [
            (step["id"], step["name"], step["agent"], step["task"], set(step["needs"])) for step in configured["steps"]
        ]
    await clerk.refused(404, "GET", "/orchestration/workflows/nothing")


@pytest.mark.parametrize(("body", "status", "field"), [
    ({}, 422, "workflow_id"), ({"workflow_id": 5}, 422, "workflow_id"), ({"workflow_id": None}, 422, "workflow_id"),
    ({"workflow_id": "nothing"}, 404, ""), ({"workflow_id": ""}, 404, ""), ({"workflow_id": "counting", "input": "x"}, 422, "input"),
    ({"workflow_id": "counting", "input": [1]}, 422, "input"), ({"workflow_id": "counting", "input": {"a": "x" * 66_000}}, 422, "input"),
    ([], 422, ""), ("counting", 422, ""),
], ids=lambda given: repr(given)[:50])
async def test_an_execution_that_cannot_be(clerk, body, status, field):
    said_ = await clerk.refused(status, "POST", "/orchestration/executions", body)
    assert field in said_
    assert await clerk.listed("/orchestration/executions") == ([], 0)


async def test_what_an_execution_is_given_is_given_back(clerk):
    for given in ({"input": {"a": [1, 2.5, None, {"ü": "😀"}], "{step1}": "{input}"}}, {"input": {}}, {"input": None}, {}):
        made = await clerk.good("POST", "/orchestration/executions", {"workflow_id": "counting", "other": 1} | given)
        assert made["input"] == (given.get("input") or {})
        assert (await clerk.execution(made["id"]))["input"] == made["input"]
        await clerk.execution_becomes(made["id"], "completed")


async def test_executions_are_listed_newest_first(clerk):
    """As tasks are: ten at a time unless told, at most a hundred, by their status."""
    runs = [(await clerk.start("counting"))["id"] for _ in range(12)]
    for run in runs:
        await clerk.execution_becomes(run, "completed")
    newest = runs[::-1]
    assert await clerk.listed("/orchestration/executions") == (newest[:10], 12)
    assert await clerk.listed("/orchestration/executions/", limit=5, offset=4) == (newest[4:9], 12)
    assert await clerk.listed("/orchestration/executions", limit=100, status="completed") == (newest, 12)
    assert await clerk.listed("/orchestration/executions", status="failed") == ([], 0)
    for query in ({"limit": 0}, {"limit": 101}, {"limit": "x"}, {"offset": -1}, {"status": "over"}):
        assert next(iter(query)) in await clerk.refused(422, "GET", "/orchestration/executions", params=query)
