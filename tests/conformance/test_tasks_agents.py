"""Agents at work: what is told of a task from its beginning to its end, to whom, and how it is cancelled."""

import asyncio
import time

import pytest

from model_stub import called, said
from tasks import NOBODY, SOON, TaskSocket, held, is_now, rises

COUNT = "/count 3"  # costs 0.05
LONG = "/count 10000 50"  # is not over before somebody ends it


def of(messages: list[dict], task: str) -> list[dict]:
    """Those about a task."""
    return [message for message in messages if message["data"].get("task_id") == task]


async def begun(socket: TaskSocket, task: str) -> dict:
    """Hears that an agent is at work."""
    while (message := await socket.hear())["data"]["status"] != "in_progress":
        assert message["data"]["task_id"] == task
    return message


async def test_a_task_from_its_beginning_to_its_end(clerk):
    socket = await clerk.connect()
    since = time.time()
    task = await socket.execute("/count 40", model_id="gpt-4o", parameters={"temperature": 0.7})
    messages = await socket.course(task)
    shares = [message["data"]["progress"] for message in messages]
    assert messages[0]["data"]["status"] == "in_progress" and len(set(shares)) >= 3, "it rises on the way"
    assert all(0 < share < 1 for share in shares[:-1]) and shares[-1] == 1
    done = messages[-1]["data"]
    text = "".join(f"{number} " for number in range(1, 41))
    assert done["result"]["output"] == text and done["cost"] == pytest.approx(0.42)
    is_now(done["completed_at"], since)
    shown = await clerk.task(task)
    assert {name: shown[name] for name in ("status", "progress", "result", "completed_at", "error")} == {
        "status": "completed", "progress": 1, "result": done["result"], "completed_at": done["completed_at"], "error": None,
    }
    assert (shown["agent_id"], shown["model_id"], shown["parameters"]) == ("code-agent", "gpt-4o", {"temperature": 0.7})
    assert (shown["task"], shown["type"], shown["priority"], shown["user_id"]) == ("/count 40", "code", "medium", clerk.user)
    assert shown["cost"] == done["cost"]
    assert await socket.behind(task) == [], "nothing comes after the end"


async def test_every_socket_of_the_user_hears_the_same_and_nobody_elses_anything(office, clerk):
    here, there = office.house.two_shards
    first, second, third = await clerk.connect(here), await clerk.connect(there), await clerk.connect(there)
    stranger, boss = await office.person().connect(there), await (await office.admin()).connect(there)
    for socket in (second, stranger, boss):
        socket.subscribe("tasks")
        assert await socket.waiting() == []
    for count in (12, 3):
        task = await first.execute(f"/count {count}")
        heard = await first.course(task)
        same = await second.course(task)
        assert same[0]["data"]["status"] == "pending" and same[1:] == heard
        assert of(await boss.behind(task), task) == same, "who sees everyone's tasks hears it too"
        assert await stranger.behind(task) == []
        assert await third.behind(task) == [], "it has not subscribed"


async def test_who_has_subscribed_twice_hears_it_once(office, clerk):
    """To a task and to all tasks, and by having asked for it."""
    for shard in office.house.two_shards:
        socket, plain = await clerk.connect(shard), await clerk.connect()
        plain.subscribe("tasks")
        await plain.waiting()
        socket.subscribe("tasks")
        task = await socket.execute("/count 60 10")
        for _ in range(2):
            socket.subscribe("task", task_id=task)
        heard = await socket.course(task)
        expected = await plain.course(task)
        answers = len(heard) - len(expected) + 1
        assert answers <= 2, "two answers to two subscriptions, and each update once"
        assert all(message in heard for message in expected[1:])
        assert await socket.behind(task) == []


async def test_who_subscribes_while_it_runs_hears_how_it_stands_and_what_follows(office, clerk):
    for shard in office.house.two_shards:
        first = await clerk.connect()
        task = await first.execute("/count 40 10")
        late = await clerk.connect(shard)
        late.subscribe("task", task_id=task)
        heard, whole = await late.course(task), await first.course(task)
        assert heard[1:] == whole[len(whole) - len(heard) + 1:], "all that followed, and in its order"


async def test_who_subscribes_when_it_is_over_hears_how_it_ended(office, clerk):
    first = await clerk.connect()
    done = await first.execute(COUNT)
    completion = (await first.course(done))[-1]
    failed = (await clerk.make())["id"]
    await clerk.change(failed, status="failed", error="The rain came")
    for shard in office.house.two_shards:
        late = await clerk.connect(shard)
        late.subscribe("task", task_id=done)
        assert await late.hear() == completion
        late.subscribe("task", task_id=failed)
        error = await late.heard("task_error")
        assert (error["task_id"], error["error"]) == (failed, "The rain came")
        assert await late.behind(done) == await late.behind(failed) == []


async def test_what_is_anothers_looks_as_if_it_were_not_there(office, clerk):
    task = (await clerk.make())["id"]
    run = (await clerk.start("counting"))["id"]
    stranger = await office.person().connect()
    texts = []
    for id in (task, NOBODY):
        data = {"channel": "task", "task_id": id}
        stranger.say("subscribe", data)
        texts.append(await stranger.refused("invalid_subscription", "subscribe", data))
        stranger.say("cancel_task", {"task_id": id})
        texts.append(await stranger.refused("invalid_request", "cancel_task", {"task_id": id}))
    for id in (run, NOBODY):
        data = {"channel": "workflow_execution", "execution_id": id}
        stranger.say("subscribe", data)
        texts.append(await stranger.refused("invalid_subscription", "subscribe", data))
    assert texts[0:2] == texts[2:4] and texts[4] == texts[5]
    assert texts[0] == "Cannot subscribe to non-existent task", "the contract's own words"
    assert (await clerk.task(task))["status"] == "pending"
    boss = await (await office.admin()).connect()
    boss.subscribe("task", task_id=task)
    assert (await boss.heard("task_update"))["task_id"] == task


# --- cancelling


async def test_a_task_is_cancelled_midway(office, clerk):
    here, there = office.house.two_shards
    first, second = await clerk.connect(here), await clerk.connect(there)
    second.subscribe("tasks")
    assert await second.waiting() == []
    task = await first.execute(LONG)
    await begun(first, task)
    first.say("cancel_task", {"task_id": task})
    end = (await first.course(task))[-1]
    assert end["type"] == "task_error"
    assert (end["data"]["status"], end["data"]["error"]) == ("failed", "Cancelled by user")
    assert (await second.course(task))[-1] == end
    shown = await clerk.task(task)
    assert (shown["status"], shown["error"], shown["completed_at"]) == ("failed", "Cancelled by user", None)
    for socket in (first, second):
        socket.say("cancel_task", {"task_id": task})
        await socket.refused("invalid_request", "cancel_task", {"task_id": task})
    assert await first.behind(task) == await second.behind(task) == []
    assert (await clerk.task(task)) == shown


async def test_who_cancels_hears_of_it_without_a_subscription(office, clerk):
    first, second = await clerk.connect(), await clerk.connect(office.house.two_shards[1])
    task = await first.execute(LONG)
    await begun(first, task)
    second.say("cancel_task", {"task_id": task})
    error = await second.heard("task_error")
    assert (error["task_id"], error["error"]) == (task, "Cancelled by user")
    assert (await first.course(task))[-1]["data"] == error
    assert await second.behind(task) == []


async def test_a_task_that_waits_for_people_is_cancelled_too(clerk):
    socket = await clerk.connect()
    task = (await clerk.make())["id"]
    socket.subscribe("task", task_id=task)
    await socket.heard("task_update")
    socket.say("cancel_task", {"task_id": task})
    assert (await socket.heard("task_error"))["error"] == "Cancelled by user"
    assert await socket.behind(task) == []


async def test_a_cancel_ends_the_request_to_the_model(office, clerk, endpoint):
    endpoint.will(held("never"), said("half", " and more", pace_s=60))
    for number in range(2):
        socket = await clerk.connect()
        task = await socket.execute("think", "large-agent")
        asked = await endpoint.request(number, SOON)
        assert asked.is_open
        socket.say("cancel_task", {"task_id": task})
        assert (await socket.course(task))[-1]["data"]["error"] == "Cancelled by user"
        await asked.gone(SOON)


async def test_however_many_cancel_at_once_there_is_one_end(office, clerk):
    """From every shard, by the socket and by REST: one of them ends it, the others are told that it is over."""
    listener = await clerk.connect()
    listener.subscribe("tasks")
    await listener.waiting()
    sockets = [await clerk.connect(shard) for shard in office.house.two_shards * 3]
    task = await sockets[0].execute(LONG)
    for socket in sockets:
        socket.say("cancel_task", {"task_id": task})
    answers = await asyncio.gather(*(clerk.ask("POST", f"/tasks/{task}/cancel") for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {200, 400}
    heard = await listener.course(task)
    assert heard[-1]["type"] == "task_error" and await listener.behind(task) == []
    for socket in sockets:
        messages = await socket.behind(task)
        ends = [message for message in messages if message["type"] == "task_error"]
        refusals = [message for message in messages if message["type"] == "error"]
        own = socket is sockets[0]  # it hears the task besides
        assert len(ends) <= 1 and len(refusals) <= 1, messages
        assert len(ends) + len(refusals) in ((1, 2) if own else (1,)), messages
    assert (await clerk.task(task))["error"] == "Cancelled by user"


# --- unsubscribing


async def test_who_has_unsubscribed_hears_no_more(office, clerk):
    for shard in office.house.two_shards:
        socket = await clerk.connect(shard)
        socket.subscribe("tasks")
        task = await socket.execute(COUNT)
        await socket.course(task)
        socket.unsubscribe("tasks")
        assert await socket.waiting() == []
        again = await clerk.good("POST", "/agents/code-agent/execute", {"task": COUNT})
        await clerk.becomes(again["id"], "completed")
        assert await socket.behind(again["id"]) == []


async def test_a_task_that_was_asked_for_is_unsubscribed_from_while_it_runs(clerk):
    socket, other = await clerk.connect(), await clerk.connect()
    task = await socket.execute("/count 200 5")
    socket.unsubscribe("task", task_id=task)
    assert all(message["data"]["task_id"] == task for message in await socket.waiting())
    other.subscribe("task", task_id=task)
    await other.course(task)
    assert await socket.behind(task) == []


async def test_one_subscription_is_given_back_and_the_other_holds(clerk):
    socket = await clerk.connect()
    task = (await clerk.make())["id"]
    socket.subscribe("tasks")
    socket.subscribe("task", task_id=task)
    await socket.heard("task_update")
    socket.unsubscribe("task", task_id=task)
    await socket.waiting()
    await clerk.change(task, progress=0.1)
    assert (await socket.heard("task_update"))["progress"] == 0.1
    socket.subscribe("task", task_id=task)
    await socket.heard("task_update")
    socket.unsubscribe("tasks")
    await socket.waiting()
    await clerk.change(task, progress=0.2)
    assert (await socket.heard("task_update"))["progress"] == 0.2
    socket.unsubscribe("task", task_id=task)
    await socket.waiting()
    await clerk.change(task, status="completed")
    assert await socket.behind(task) == []


# --- what cannot be done


@pytest.mark.parametrize("data", [
    {"agent_id": "nobody", "task": "x"}, {"agent_id": "", "task": "x"}, {"agent_id": "Code-Agent", "task": "x"},
    {"agent_id": "code-agent", "task": "x", "model_id": "gpt-5"}, {"agent_id": "code-agent", "task": "x", "model_id": ""},
    {"agent_id": "test-agent", "task": "x", "model_id": "gpt-4o", "parameters": {}}, {"agent_id": "code-agent", "task": ""},
    {"agent_id": "code-agent", "task": " \n"}, {"agent_id": "code-agent", "task": "x", "parameters": {"temperature": 2.1}},
    {"agent_id": "code-agent", "task": "x", "parameters": {"temperature": -1}}, {"agent_id": "code-agent", "task": "x" * 70_000},
], ids=lambda data: repr(data)[:70])
async def test_an_agent_that_is_not_there_or_cannot_do_it(clerk, data):
    socket = await clerk.connect()
    socket.say("execute_agent", data)
    await socket.refused("invalid_request", "execute_agent", data)
    assert await socket.waiting() == [] and await clerk.listed("/tasks") == ([], 0)


async def test_null_is_as_good_as_absent(clerk):
    socket = await clerk.connect()
    task = await socket.execute(COUNT, "design-agent", model_id=None, parameters=None)
    await socket.course(task)
    shown = await clerk.task(task)
    assert (shown["type"], shown["model_id"], shown["parameters"]) == ("design", None, {})


async def test_the_model_that_was_asked_for_does_it(clerk):
    """One has prices, the other has none."""
    socket = await clerk.connect()
    costs = []
    for model in ("gpt-4o", "gpt-4o-mini"):
        costs.append((await socket.course(await socket.execute(COUNT, model_id=model)))[-1]["data"]["cost"])
    assert costs == [pytest.approx(0.05), 0]


async def test_an_agent_calls_its_tool(clerk, endpoint):
    socket = await clerk.connect()
    task = await socket.execute('calculator {"expression": "6 * 7"}')
    assert "42" in (await socket.course(task))[-1]["data"]["result"]["output"]
    endpoint.will(called("calculator", {"expression": "1+1"}), said("Nobody may call that."))
    task = await socket.execute("count", "large-agent")
    assert (await socket.course(task))[-1]["data"]["result"]["output"] == "Nobody may call that.", "it has no tools"


async def test_what_an_agent_is_told_is_what_the_model_is_shown(clerk, endpoint):
    socket = await clerk.connect()
    words = "Write \"ünïcode\" \\ \n\t 😀 </script> {input}"
    task = await socket.execute(words, "large-agent", parameters={"temperature": 0.25, "other": [1, {"a": None}]})
    done = (await socket.course(task))[-1]["data"]
    assert done["result"]["output"] == "Hello from the stub." and done["cost"] == pytest.approx(0.05)
    (asked,) = endpoint.asked
    assert asked.messages[-1] == {"role": "user", "content": words}
    assert (asked.body["temperature"], asked.body["model"], asked.body["stream"]) == (0.25, "large-1", True)
    shown = await clerk.task(task)
    assert (shown["task"], shown["parameters"]) == (words, {"temperature": 0.25, "other": [1, {"a": None}]})


async def test_a_task_goes_on_when_nobody_listens_any_more(clerk):
    socket = await clerk.connect()
    task = await socket.execute("/count 20 10")
    socket.reset()
    assert (await clerk.becomes(task, "completed"))["result"]["output"].startswith("1 2 3 ")


async def test_many_tasks_of_one_socket_each_have_a_course_of_their_own(clerk):
    socket = await clerk.connect()
    for number in range(1, 31):
        socket.say("execute_agent", {"agent_id": "code-agent", "task": f"/count {number}"})
    courses: dict[str, list[dict]] = {}
    while len(courses) < 30 or any(course[-1]["type"] == "task_update" for course in courses.values()):
        message = await socket.hear()
        courses.setdefault(message["data"]["task_id"], []).append(message)
    ends = [rises(course)[-1]["data"]["result"]["output"] for course in courses.values()]
    assert sorted(len(end.split()) for end in ends) == list(range(1, 31))
    assert all(course[0]["data"]["status"] == "pending" for course in courses.values())
    for task in courses:
        assert await socket.behind(task) == []


async def test_who_is_more_urgent_is_done_first(build_office):
    """One at a time: those that wait come by their priority, and by their age."""
    office = build_office(shards=1, tasks={"max_running": 1})
    clerk = office.person()
    listener = await clerk.connect()
    listener.subscribe("tasks")
    await listener.waiting()
    first = (await clerk.make(agent_id="code-agent", task=LONG))["id"]
    await clerk.becomes(first, "in_progress")
    ids = {}
    for name, priority in (("a", "low"), ("b", "medium"), ("c", "high"), ("d", "medium"), ("e", "high"), ("f", "low")):
        ids[(await clerk.make(agent_id="code-agent", task="/count 1", priority=priority, title=name))["id"]] = name
    raised = next(id for id, name in ids.items() if name == "f")
    await clerk.change(raised, priority="high")
    assert [(await clerk.task(id))["status"] for id in ids] == ["pending"] * 6
    await clerk.good("POST", f"/tasks/{first}/cancel")
    order = []
    while len(order) < 6:
        message = await listener.hear()
        if message["type"] == "task_completion":
            order.append(ids[message["data"]["task_id"]])
    assert order == ["c", "e", "f", "b", "d", "a"]
