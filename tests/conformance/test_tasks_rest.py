"""REST of tasks and agents: shapes, pages, filters, changes by hand, and what is refused."""

import asyncio
import time

import pytest

from tasks import AGENT, NOBODY, PARTS, SOON, detail, held, is_now, is_task, rises

ALL = {"limit": 100}


async def test_a_task_for_people_has_every_field(clerk):
    since = time.time()
    made = await clerk.make()
    assert (made["task"], made["title"], made["user_id"]) == ("Sweep the yard", "Sweep the yard", clerk.user)
    assert (made["type"], made["priority"], made["status"], made["progress"], made["cost"]) == ("code", "medium", "pending", 0, 0)
    for name in ("agent_id", "model_id", "result", "error", "completed_at"):
        assert made[name] is None, name
    assert made["parameters"] == {} and made["created_at"] == made["updated_at"]
    is_now(made["created_at"], since)
    assert await clerk.task(made["id"]) == made


async def test_a_task_as_it_is_wished_for(clerk):
    body = {
        "task": "Draw a house", "title": "House", "type": "design", "priority": "high", "agent_id": "design-agent",
        "model_id": "gpt-4o-mini", "parameters": {"temperature": 0, "ink": ["red", None]},
    }
    made = is_task(await clerk.good("POST", "/tasks/", body | {"status": "failed", "id": NOBODY, "cost": 7, "user_id": "boss"}))
    assert {name: made[name] for name in body} == body
    assert (made["status"], made["cost"], made["user_id"]) == ("pending", 0, clerk.user) and made["id"] != NOBODY
    done = await clerk.becomes(made["id"], "completed")
    assert done["progress"] == 1 and done["result"]["output"].startswith("I am ")


async def test_what_can_be_left_away(clerk):
    """Only a text is needed, under whichever of its names."""
    for body, task, title in (
        ({"task": "a"}, "a", "a"), ({"description": "b"}, "b", "b"), ({"title": "c"}, "c", "c"),
        ({"title": "d", "description": "e"}, "e", "d"), ({"title": None, "task": "f", "priority": None, "agent_id": None}, "f", "f"),
    ):
        made = is_task(await clerk.good("POST", "/tasks", body))
        assert (made["task"], made["title"]) == (task, title)
    long = await clerk.make(task=f"{'word ' * 100}end")
    assert len(long["title"]) < 100 and long["title"].startswith("word word")
    kinds = [(await clerk.make(agent_id=agent, task="/count 1"))["type"] for agent in ("code-agent", "design-agent", "test-agent")]
    assert kinds == ["code", "design", "test"], "the agent's, where none was given"


@pytest.mark.parametrize(("body", "status", "names"), [
    ({}, 422, "task"), ({"task": ""}, 422, "task"), ({"task": "  "}, 422, "task"), ({"task": 5}, 422, "task"),
    ({"task": None}, 422, "task"),
    ({"task": "x" * 70_000}, 422, "task"), ({"task": "x", "title": "y" * 201}, 422, "title"), ({"task": "x", "title": 5}, 422, "title"),
    ({"task": "x", "type": "music"}, 422, "type"), ({"task": "x", "type": 1}, 422, "type"),
    ({"task": "x", "priority": "most"}, 422, "priority"),
    ({"task": "x", "agent_id": 5}, 422, "agent_id"), ({"task": "x", "agent_id": "nobody"}, 404, "Agent"),
    ({"task": "x", "agent_id": "code-agent", "model_id": "gpt-5"}, 400, "model"), ({"task": "x", "model_id": "gpt-4o"}, 400, "model"),
    ({"task": "x", "parameters": "hot"}, 422, "parameters"), ({"task": "x", "parameters": [1]}, 422, "parameters"),
    ({"task": "x", "parameters": {"temperature": 3}}, 422, "parameters"),
    ({"task": "x", "parameters": {"a": "y" * 66_000}}, 422, "parameters"), ([], 422, "object"), ("x", 422, "object"), (5, 422, "object"),
], ids=lambda given: repr(given)[:60])
async def test_a_task_that_cannot_be(clerk, body, status, names):
    assert names in await clerk.refused(status, "POST", "/tasks", body)
    assert await clerk.listed("/tasks") == ([], 0)


@pytest.mark.parametrize("body", [b"", b"{", b"{'task':'x'}", b"task=x", b'{"task":"\xff"}', b'{"task":"x"} {}'], ids=repr)
async def test_a_body_that_is_not_json(clerk, body):
    for method, path in (("POST", "/tasks"), ("POST", "/agents/code-agent/execute"), ("POST", "/orchestration/executions")):
        await clerk.refused(400, method, path, content=body)
    await clerk.refused(400, "PATCH", f"/tasks/{NOBODY}", content=body)


async def test_a_body_that_is_too_large(clerk):
    await clerk.refused(413, "POST", "/tasks", content=b'{"task":"' + b"x" * (8 << 20) + b'"}')


async def test_the_longest_task_that_is_taken(clerk):
    text = "\u0001" * 65_536  # six bytes each, as JSON writes it
    made = await clerk.make(task=text)
    assert (await clerk.task(made["id"]))["task"] == text


# --- lists


async def test_lists_are_newest_first_ten_at_a_time(clerk):
    made = [(await clerk.make(task=f"task {number}"))["id"] for number in range(14)]
    newest = made[::-1]
    assert await clerk.listed("/tasks") == (newest[:10], 14) == await clerk.listed("/tasks/")
    assert await clerk.listed("/tasks", limit=3) == (newest[:3], 14)
    assert await clerk.listed("/tasks", limit=1, offset=13) == (newest[13:], 14)
    assert await clerk.listed("/tasks", offset=14) == ([], 14) == await clerk.listed("/tasks", offset=4_000_000_000)
    assert await clerk.listed("/tasks", offset=7, limit=100) == (newest[7:], 14)
    assert await clerk.listed("/tasks", limit="", offset="", status="", other="x") == (newest[:10], 14), "as good as absent"
    rows = await clerk.get("/tasks", **ALL)
    assert [is_task(row) for row in rows] == [await clerk.task(id) for id in newest]


async def test_a_hundred_is_the_longest_page(clerk):
    for start in range(0, 105, 15):
        await asyncio.gather(*(clerk.make(task=str(start + number)) for number in range(15)))
    seen = []
    for offset in (0, 100):
        page, total = await clerk.listed("/tasks", limit=100, offset=offset)
        assert total == 105
        seen.append(page)
    assert [len(page) for page in seen] == [100, 5] and len(set(seen[0] + seen[1])) == 105


@pytest.mark.parametrize("query", [
    {"limit": 0}, {"limit": 101}, {"limit": -1}, {"limit": "ten"}, {"limit": 1.5}, {"offset": -1}, {"offset": "x"}, {"offset": 1 << 64},
    {"status": "over"}, {"status": "cancelled"}, {"status": "Pending"}, [("limit", 1), ("limit", 2)],
], ids=repr)
async def test_a_page_that_cannot_be(clerk, query):
    name = query[0][0] if isinstance(query, list) else next(iter(query))
    assert name in await clerk.refused(422, "GET", "/tasks", params=query)


async def test_lists_are_filtered_by_status(office, clerk):
    by_status = {}
    for status in ("pending", "in_progress", "verifying", "completed", "failed"):
        made = await clerk.make()
        by_status[status] = made["id"] if status == "pending" else (await clerk.change(made["id"], status=status))["id"]
    for status, id in by_status.items():
        assert await clerk.listed("/tasks", status=status) == ([id], 1)
    assert await office.person().listed("/tasks") == ([], 0), "one's own"
    boss = await office.admin()
    assert set(by_status.values()) <= set((await boss.listed("/tasks", **ALL))[0]), "an admin's are everyone's"


# --- one task


async def test_what_is_not_there_or_anothers_is_not_found(office, clerk):
    made = (await clerk.make())["id"]
    stranger = office.person()
    texts = set()
    for id in (made, NOBODY, "task-123", "x" * 300, "%00", "..%2F"):
        for method, tail, body in (("GET", "", None), ("PATCH", "", {"title": "x"}), ("DELETE", "", None), ("POST", "/cancel", None)):
            texts.add(await stranger.refused(404, method, f"/tasks/{id}{tail}", body))
    assert texts == {"Task not found"}
    boss = await office.admin()
    assert (await boss.change(made, title="Seen"))["title"] == "Seen" == (await clerk.task(made))["title"]
    assert (await boss.good("DELETE", f"/tasks/{made}"))["id"] == made
    await clerk.refused(404, "GET", f"/tasks/{made}")


async def test_a_task_is_changed_by_hand(office, clerk):
    """And everyone who listens hears of what changed on its way."""
    made = (await clerk.make())["id"]
    sockets = [await clerk.connect(shard) for shard in office.house.two_shards]
    for socket in sockets:
        socket.subscribe("task", task_id=made)
        await socket.heard("task_update")
    await clerk.change(made, title="Yard", priority="low", type="analysis")
    changed = await clerk.change(made, status="in_progress", progress=0.2)
    assert (changed["title"], changed["priority"], changed["type"]) == ("Yard", "low", "analysis")
    assert (changed["status"], changed["progress"]) == ("in_progress", 0.2)
    await clerk.change(made, progress=0.5)
    await clerk.change(made, status="verifying")
    since = time.time()
    done = await clerk.change(made, status="completed", result={"leaves": [1, 2]})
    assert (done["progress"], done["result"]) == (1, {"leaves": [1, 2]})
    is_now(done["completed_at"], since)
    for socket in sockets:
        heard = rises([await socket.hear() for _ in range(4)])
        assert [(message["data"]["status"], message["data"]["progress"]) for message in heard] == [
            ("in_progress", 0.2), ("in_progress", 0.5), ("verifying", 0.5), ("completed", 1),
        ]
        assert heard[-1]["data"]["result"] == {"leaves": [1, 2]}
        assert await socket.behind(made) == []


@pytest.mark.parametrize(("before", "change", "status"), [
    ({"status": "in_progress"}, {"status": "pending"}, 400), ({"status": "verifying"}, {"status": "in_progress"}, 400),
    ({"progress": 0.5}, {"progress": 0.4}, 400), ({"status": "completed"}, {"status": "failed"}, 400),
    ({"status": "failed"}, {"status": "in_progress"}, 400), ({"status": "completed"}, {"progress": 1.0}, 400),
    ({"status": "failed"}, {"priority": "high"}, 400), ({"status": "failed"}, {"error": "other"}, 400),
    ({}, {"progress": 1.5}, 422), ({}, {"progress": -0.1}, 422), ({}, {"progress": "half"}, 422), ({}, {"status": "over"}, 422),
    ({}, {"status": 1}, 422), ({}, {"title": "x" * 201}, 422), ({}, {"priority": "most"}, 422), ({}, {"type": "music"}, 422),
    ({}, {"result": [1]}, 422), ({}, {"error": 5}, 422), ({}, [], 422),
], ids=repr)
async def test_a_change_that_cannot_be(clerk, before, change, status):
    made = (await clerk.make())["id"]
    stood = await clerk.change(made, **before)
    await clerk.refused(status, "PATCH", f"/tasks/{made}", change)
    assert await clerk.task(made) == stood


async def test_what_an_agent_works_at_is_left_to_it(clerk):
    made = (await clerk.make(agent_id="code-agent", task="/count 10000 50"))["id"]
    await clerk.becomes(made, "in_progress")
    for body in ({"status": "completed"}, {"progress": 0.99}, {"result": {}}, {"error": "x"}):
        await clerk.refused(409, "PATCH", f"/tasks/{made}", body)
    assert (await clerk.change(made, title="Counting", priority="high"))["title"] == "Counting"
    cancelled = is_task(await clerk.good("POST", f"/tasks/{made}/cancel"))
    assert (cancelled["status"], cancelled["error"], cancelled["title"]) == ("failed", "Cancelled by user", "Counting")
    await clerk.refused(400, "POST", f"/tasks/{made}/cancel")
    assert (await clerk.change(made, title="Counted"))["status"] == "failed", "a title may always be changed"


async def test_a_task_is_removed(office, clerk, endpoint):
    """One that runs is broken off: who listens hears its end, the request to its model is gone."""
    made = await clerk.make()
    done = await clerk.change(made["id"], status="completed")
    assert await clerk.good("DELETE", f"/tasks/{made['id']}") == done
    for method, tail in (("GET", ""), ("DELETE", ""), ("POST", "/cancel")):
        await clerk.refused(404, method, f"/tasks/{made['id']}{tail}")
    await clerk.refused(404, "PATCH", f"/tasks/{made['id']}", {"title": "x"})
    endpoint.will(held("never"))
    socket = await clerk.connect(office.house.two_shards[1])
    task = await socket.execute("think", "large-agent")
    asked = await endpoint.request(0, SOON)
    gone = is_task(await clerk.good("DELETE", f"/tasks/{task}"))
    assert (gone["id"], gone["status"]) == (task, "failed")
    assert (await socket.course(task))[-1]["data"]["error"] == "Cancelled by user"
    await asked.gone(SOON)
    waits = (await clerk.make())["id"]
    socket.subscribe("task", task_id=waits)
    await socket.heard("task_update")
    assert is_task(await clerk.good("DELETE", f"/tasks/{waits}"))["error"] == "Cancelled by user", "what is removed has ended before"
    assert (await socket.heard("task_error"))["task_id"] == waits
    assert await clerk.listed("/tasks") == ([], 0)
    data = {"channel": "task", "task_id": task}
    socket.say("subscribe", data)
    await socket.refused("invalid_subscription", "subscribe", data)


# --- agents


async def test_agents_are_as_they_are_configured(clerk):
    listed = await clerk.get("/agents")
    assert [agent["id"] for agent in listed] == ["code-agent", "design-agent", "large-agent", "test-agent"]
    assert all(set(agent) == AGENT for agent in listed) and listed == await clerk.get("/agents/")
    code = await clerk.get("/agents/code-agent")
    assert code == listed[0]
    expected = {"id": "code-agent", "description": "Writes code", "models": ["gpt-4o", "gpt-4o-mini"], "tools": ["calculator"]}
    assert code == expected
    for id in ("nobody", "Code-Agent", "code-agent2"):
        await clerk.refused(404, "GET", f"/agents/{id}")


async def test_an_agent_is_told_what_to_do(clerk):
    socket = await clerk.connect()
    socket.subscribe("tasks")
    await socket.waiting()
    body = {"task": "/count 3", "model_id": "gpt-4o", "parameters": {"temperature": 0.7}}
    made = is_task(await clerk.good("POST", "/agents/code-agent/execute", body))
    assert {name: made[name] for name in body} == body and (made["status"], made["agent_id"]) == ("pending", "code-agent")
    heard = await socket.course(made["id"])
    assert heard[0]["data"]["status"] == "pending" and heard[-1]["data"]["cost"] == pytest.approx(0.05)


@pytest.mark.parametrize(("agent", "body", "status"), [
    ("nobody", {"task": "x"}, 404), ("code-agent", {}, 422), ("code-agent", {"task": ""}, 422), ("code-agent", {"task": [1]}, 422),
    ("code-agent", {"task": "x", "model_id": "gpt-5"}, 400), ("test-agent", {"task": "x", "model_id": "gpt-4o"}, 400),
    ("code-agent", {"task": "x", "model_id": 5}, 422), ("code-agent", {"task": "x", "parameters": {"temperature": 9}}, 422),
    ("code-agent", {"task": "x", "parameters": 1}, 422),
], ids=repr)
async def test_an_agent_that_cannot_do_it(clerk, agent, body, status):
    await clerk.refused(status, "POST", f"/agents/{agent}/execute", body)
    assert await clerk.listed("/tasks") == ([], 0)


# --- everything else


async def test_what_anybody_may_see(office, http):
    root = await http.get(f"{office.house.chat}/")
    assert root.status_code == 200 and set(root.json()) == {"name", "version", "status"}
    late = time.monotonic() + 60
    # Of records on a disk that stood still for seconds it says so, until they are written again.
    while (health := await http.get(f"{office.house.chat}/health")).json()["status"] != "healthy":
        assert health.status_code == 200 and time.monotonic() < late, health.text
        await asyncio.sleep(0.2)
    assert health.status_code == 200
    assert all(health.json()[name] == "operational" for name in PARTS)


async def test_a_route_that_is_none(clerk):
    for method, path in (
        ("GET", "/agents/code-agent/execute/now"), ("GET", "/orchestration"), ("GET", "/tasks/x/y"), ("POST", "/tasks/x/y/z"),
        ("GET", "/nothing"),
    ):
        await clerk.refused(404, method, path)
    for method, path, allowed in (
        ("PUT", "/tasks", {"GET", "POST"}), ("DELETE", "/tasks", {"GET", "POST"}), ("POST", f"/tasks/{NOBODY}", {"GET", "PATCH", "DELETE"}),
        ("GET", f"/tasks/{NOBODY}/cancel", {"POST"}), ("GET", "/agents/code-agent/execute", {"POST"}), ("POST", "/agents", {"GET"}),
        ("DELETE", f"/orchestration/executions/{NOBODY}", {"GET"}), ("POST", "/orchestration/workflows", {"GET"}),
    ):
        answer = await clerk.ask(method, path)
        detail(answer, 405)
        assert allowed <= {name.strip() for name in answer.headers["allow"].split(",")} <= allowed | {"HEAD", "OPTIONS"}, path


async def test_no_answer_is_for_a_cache(clerk):
    made = (await clerk.make())["id"]
    for path in ("/tasks", f"/tasks/{made}", "/agents", "/orchestration/workflows", "/orchestration/executions"):
        assert "no-store" in (await clerk.ask("GET", path)).headers["cache-control"]


async def test_a_page_of_any_origin_may_call(office, clerk):
    """A browser asks first, and then sees how long a list is."""
    asked = {"origin": "https://school.example", "access-control-request-method": "PATCH"}
    asked |= {"access-control-request-headers": "authorization"}
    answer = await office.http.options(f"{office.house.chat}/api/v1/tasks/x", headers=asked)
    assert answer.status_code in (200, 204) and answer.headers["access-control-allow-origin"] in ("*", asked["origin"])
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()
    answer = await clerk.ask("GET", "/tasks", headers={"origin": asked["origin"]})
    assert answer.headers["access-control-allow-origin"] in ("*", asked["origin"])


async def test_nothing_that_was_sent_is_said_back(clerk):
    """No error has a user's words in it."""
    mark = "wortdesschuelers"
    for method, path, body in (
        ("GET", f"/tasks/{mark}", None), ("POST", "/tasks", {"task": "x", "type": mark}), ("GET", f"/tasks?status={mark}", None),
        ("POST", "/tasks", {"task": "x", "agent_id": mark}), ("POST", "/orchestration/executions", {"workflow_id": mark}),
    ):
        answer = await clerk.ask(method, path, body)
        assert answer.status_code >= 400 and mark not in answer.text, answer.text
