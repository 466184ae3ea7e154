"""Sessions: their whole life, what they may become, what their agents make of them, how they are listed."""

import asyncio
import time

import pytest

import labs_agent
from client import open_socket
from labs import FIREFOX, NOBODY, seconds, upgrade_refused
from quiz import is_true_soon


async def hosted(lab, **does):
    """An agent that is online, and that meets some commands in another way."""
    agent = await lab.joined()
    agent.does |= does
    return agent


# --- the whole life


async def test_the_whole_life_of_a_session(lab):
    agent, student = await hosted(lab), await lab.person()
    started = asyncio.Event()
    agent.does["start_session"] = labs_agent.after(started)
    made = await student.start(platform=agent.platform)
    assert (made["state"], made["status"]["phase"], made["status"]["vnc_url"]) == ("pending", "Pending", None)
    command = await agent.commanded("start_session")
    assert command.session == made["id"]
    expected = {"name": made["name"], "image": FIREFOX["base_image"], "vnc": {"port": 3000}, "environment": FIREFOX["environment"]}
    assert {name: command.data[name] for name in expected} == expected
    assert (await student.session(made["id"]))["state"] == "pending"
    started.set()
    said = await student.becomes(made["id"], "Running")
    assert (said["state"], said["status"]["pod_ip"], said["status"]["vnc_url"]) == ("running", "10.42.1.5", f"/vnc-viewer/{made['id']}")
    assert seconds(said["last_activity"]) >= seconds(said["created_at"])
    slept = await student.move(made["id"], "hibernated")
    assert (slept["state"], slept["status"]) == ("hibernated", {"phase": "Hibernated", "message": "Session hibernated successfully"})
    assert (await student.session(made["id"]))["status"]["vnc_url"] is None
    woken = await student.move(made["id"], "running")
    assert (woken["state"], woken["status"]["phase"]) == ("running", "Running")
    await student.good("DELETE", f"/sessions/{made['id']}", status=204)
    stop = await agent.commanded("stop_session")
    assert (stop.data["graceful"], stop.data["timeout"]) == (True, "30s")
    said = await student.becomes(made["id"], "Terminated")
    assert (said["state"], said["status"]["vnc_url"]) == ("terminated", None)
    await student.good("DELETE", f"/sessions/{made['id']}", status=204)
    assert [command.action for command in agent.commands] == ["start_session", "hibernate_session", "wake_session", "stop_session"]
    assert len({command.id for command in agent.commands}) == 4


async def test_what_is_not_wished_for_is_the_templates(lab):
    agent = await hosted(lab, start_session=labs_agent.ignore)
    made = await lab.admin.start(user="some.one", platform=agent.platform)
    assert {name: made[name] for name in ("resources", "persistent_home", "idle_timeout", "tags", "namespace")} == {
        "resources": {"memory": "2Gi", "cpu": "1000m"}, "persistent_home": True, "idle_timeout": "30m", "tags": [],
        "namespace": "streamspace",
    }
    assert made["name"].startswith("some-one-firefox-browser-")
    wish = {"resources": {"cpu": "0.5"}, "persistent_home": False, "idle_timeout": "1h30m", "tags": ["é"], "state": "running", "colour": 1}
    made = await lab.admin.start(user="x", platform=agent.platform, **wish)
    assert (made["resources"], made["persistent_home"], made["idle_timeout"]) == ({"memory": "2Gi", "cpu": "0.5"}, False, "1h30m")
    command = await agent.commanded("start_session", made["id"])
    assert (command.data["persistent_home"], command.data["resources"]) == (False, made["resources"])


async def test_a_session_that_is_to_sleep_from_the_start(lab):
    agent = await hosted(lab)
    made = await lab.admin.start(user="x", platform=agent.platform, state="hibernated")
    assert made["state"] == "pending"
    await lab.admin.becomes(made["id"], "Hibernated")
    assert [command.action for command in agent.commands] == ["start_session", "hibernate_session"]


@pytest.mark.parametrize("given", [
    ({"user": None}, "MISSING_REQUIRED_FIELD", "user"), ({"template": None}, "MISSING_REQUIRED_FIELD", "template"),
    ({"user": "a b"}, "VALIDATION_FAILED", "user"), ({"user": 7}, "VALIDATION_FAILED", "user"),
    ({"platform": ""}, "VALIDATION_FAILED", "platform"), ({"state": "terminated"}, "VALIDATION_FAILED", "state"),
    ({"resources": 7}, "VALIDATION_FAILED", "resources"), ({"resources": {"memory": "lots"}}, "VALIDATION_FAILED", "resources.memory"),
    ({"resources": {"cpu": "-1"}}, "VALIDATION_FAILED", "resources.cpu"),
    ({"persistent_home": "yes"}, "VALIDATION_FAILED", "persistent_home"),
    ({"idle_timeout": "30"}, "VALIDATION_FAILED", "idle_timeout"), ({"idle_timeout": "soon"}, "VALIDATION_FAILED", "idle_timeout"),
    ({"tags": "a"}, "VALIDATION_FAILED", "tags"), ({"tags": [1]}, "VALIDATION_FAILED", "tags"),
    ({"tags": ["a,b"]}, "VALIDATION_FAILED", "tags"),
    ({"template": "nothing-of-the-kind"}, "TEMPLATE_NOT_FOUND", "template"), ({"template": "../etc"}, "TEMPLATE_NOT_FOUND", "template"),
], ids=str)
async def test_a_wish_that_is_not_as_it_must_be(lab, given):
    wrong, code, field = given
    said = await lab.admin.refused(code, "POST", "/sessions", {"user": "x", "template": "firefox-browser"} | wrong, field)
    assert said["code"] != "TEMPLATE_NOT_FOUND" or said["error"] == "Invalid request"


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"x"', '{"user":"\\ud800"}', b'{"user":"\xff"}'], ids=repr)
async def test_a_body_that_is_no_object(lab, text):
    await lab.admin.refused("VALIDATION_FAILED", "POST", "/sessions", content=text)


async def test_sessions_are_their_owners_and_the_admins(lab):
    agent = await hosted(lab)
    anna, boris = await lab.person(), await lab.person()
    session = await anna.running(platform=agent.platform)
    path = f"/sessions/{session['id']}"
    forbidden = "AUTH_INSUFFICIENT_PERMISSIONS"
    await boris.refused(forbidden, "POST", "/sessions", {"user": anna.name, "template": "firefox-browser"})
    for method, where, body in (
        ("GET", path, None), ("PATCH", path, {"state": "hibernated"}), ("DELETE", path, None), ("GET", f"{path}/logs", None),
        ("DELETE", f"{path}?force=true", None), ("GET", f"/sessions?user={anna.name}", None),
    ):
        await boris.refused(forbidden, method, where, body)
    assert await boris.listed("/sessions") == []
    assert [row["id"] for row in await anna.listed("/sessions")] == [session["id"]]
    assert [row["id"] for row in await lab.admin.listed("/sessions", user=anna.name)] == [session["id"]]
    assert (await boris.agent(agent.name))["sessions"] == [] != (await anna.agent(agent.name))["sessions"]
    assert await boris.view_refused(forbidden, session["id"]) == 403
    await anna.refused(forbidden, "PATCH", path, {"state": "terminated"})
    await lab.admin.move(session["id"], "terminated")


# --- moves


@pytest.mark.parametrize("given", [
    ({}, "MISSING_REQUIRED_FIELD"), ({"state": "asleep"}, "VALIDATION_FAILED"), ({"state": 7}, "VALIDATION_FAILED"),
    ([], "VALIDATION_FAILED"),
    ({"state": "pending"}, "INVALID_STATE_TRANSITION"), ({"state": "running"}, "INVALID_STATE_TRANSITION"),
], ids=str)
async def test_a_move_that_cannot_be(lab, given):
    body, code = given
    agent = await hosted(lab)
    session = await lab.admin.running(user="x", platform=agent.platform)
    said = await lab.admin.refused(code, "PATCH", f"/sessions/{session['id']}", body)
    if code == "INVALID_STATE_TRANSITION":
        assert said["message"] == f"Cannot transition from 'running' to '{body['state']}'"


async def test_every_move_from_every_state(lab):
    """What the contract's table allows, and nothing else; all of it is 400."""
    agent = await hosted(lab)

    async def refused(id: str, *states: str):
        for state in states:
            await lab.admin.refused("INVALID_STATE_TRANSITION", "PATCH", f"/sessions/{id}", {"state": state})

    agent.does["start_session"] = labs_agent.ignore
    pending = (await lab.admin.start(user="x", platform=agent.platform))["id"]
    await refused(pending, "running", "hibernated")
    agent.does.clear()
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    await refused(id, "running")
    await lab.admin.move(id, "hibernated")
    await refused(id, "hibernated")
    agent.does["stop_session"] = labs_agent.ignore
    assert (await lab.admin.move(id, "terminating"))["state"] == "terminating"
    await lab.admin.refused("SESSION_TERMINATING", "PATCH", f"/sessions/{id}", {"state": "running"})
    await lab.admin.good("DELETE", f"/sessions/{id}", status=204)
    assert (await lab.admin.move(id, "terminated"))["state"] == "terminated"
    await refused(id, "running", "hibernated")
    for state in ("terminating", "terminated"):
        assert (await lab.admin.move(id, state))["state"] == "terminated"


async def test_what_is_no_session(lab):
    for id in (NOBODY, "x", "stats", NOBODY.replace("-", ""), "%00", "1" * 500):
        for method, path, body in (("GET", "", None), ("PATCH", "", {"state": "running"}), ("DELETE", "", None), ("GET", "/logs", None)):
            await lab.admin.refused("SESSION_NOT_FOUND", method, f"/sessions/{id}{path}", body)
    assert await lab.admin.view_refused("SESSION_NOT_FOUND", NOBODY) == 404
    assert await lab.admin.view_refused("SESSION_NOT_FOUND", "x") == 404


async def test_a_wake_straight_after_a_sleep_that_is_still_under_way(build_lab):
    """As the contract's script does. What is to be is answered when the agent takes its time."""
    lab = await build_lab(labs={"command_wait": "200ms"})
    agent, slept = await hosted(lab), asyncio.Event()
    agent.does["hibernate_session"] = labs_agent.after(slept)
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    since = time.monotonic()
    assert (await lab.admin.move(id, "hibernated"))["state"] == "hibernated"
    assert 0.2 <= time.monotonic() - since < 5
    assert (await lab.admin.session(id))["status"]["phase"] == "Hibernating"
    woken = asyncio.create_task(lab.admin.move(id, "running"))
    assert (await woken)["state"] == "running"
    assert not [command for command in agent.commands if command.action == "wake_session"], "one command at a time"
    slept.set()
    await agent.commanded("wake_session")
    await lab.admin.becomes(id, "Running")


async def test_a_session_may_be_deleted_while_it_wakes_or_begins(lab):
    agent = await hosted(lab, wake_session=labs_agent.acknowledge)
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    await lab.admin.move(id, "hibernated")
    waking = asyncio.create_task(lab.admin.ask("PATCH", f"/sessions/{id}", {"state": "running"}))
    wake = await agent.commanded("wake_session")
    await lab.admin.good("DELETE", f"/sessions/{id}", status=204)
    await agent.commanded("stop_session", id)
    await lab.admin.becomes(id, "Terminated")
    await waking
    await agent.complete(wake)
    agent.does["start_session"] = labs_agent.acknowledge
    pending = (await lab.admin.start(user="x", platform=agent.platform))["id"]
    start = await agent.commanded("start_session", pending)
    await lab.admin.good("DELETE", f"/sessions/{pending}", status=204)
    await agent.commanded("stop_session", pending)
    await lab.admin.becomes(pending, "Terminated")
    await agent.complete(start)
    await agent.heartbeat()
    for ended in (id, pending):
        assert (await lab.admin.session(ended))["state"] == "terminated", "a late result changes nothing"


async def test_force_does_not_wait_for_the_agent(lab):
    agent = await hosted(lab, stop_session=labs_agent.ignore)
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    await lab.admin.refused("INVALID_PARAMETER", "DELETE", f"/sessions/{id}?force=maybe", field="force")
    await lab.admin.good("DELETE", f"/sessions/{id}?force=true", status=204)
    assert (await lab.admin.session(id))["state"] == "terminated"
    stop = await agent.commanded("stop_session", id)
    assert stop.data["graceful"] is False, "its agent is told all the same"


# --- what agents make of them


async def test_a_start_that_fails_frees_its_place(lab):
    agent = await hosted(lab, start_session=labs_agent.fail("Failed to create pod: insufficient resources"))
    made = await lab.admin.start(user="x", platform=agent.platform)
    said = await lab.admin.becomes(made["id"], "Failed")
    assert said["status"]["message"] == "Failed to create pod: insufficient resources"
    assert (await lab.admin.agent(agent.name))["capacity"]["current_sessions"] == 0
    assert [row["id"] for row in await lab.admin.listed("/sessions", state="failed", agent_id=agent.name)] == [made["id"]]
    await lab.admin.good("DELETE", f"/sessions/{made['id']}", status=204)
    assert (await lab.admin.session(made["id"]))["state"] == "terminated"


async def test_a_sleep_and_a_waking_that_fail_leave_the_session_as_it_was(lab):
    agent = await hosted(lab, hibernate_session=labs_agent.fail("disk full"))
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    said = await lab.admin.refused("SESSION_PROVISIONING_FAILED", "PATCH", f"/sessions/{id}", {"state": "hibernated"})
    assert "disk full" in said["message"]
    said = await lab.admin.session(id)
    assert said["state"] == "running" and "disk full" in said["status"]["message"]
    agent.does = {"wake_session": labs_agent.fail("no room")}
    await lab.admin.move(id, "hibernated")
    await lab.admin.refused("SESSION_PROVISIONING_FAILED", "PATCH", f"/sessions/{id}", {"state": "running"})
    assert (await lab.admin.session(id))["state"] == "hibernated"


async def test_results_that_nobody_waits_for(lab):
    agent, other = await hosted(lab), await hosted(lab)
    session = await lab.admin.running(user="x", platform=agent.platform)
    start = agent.commands[0]
    await agent.fail(start, "too late")
    await other.fail(start, "not mine")
    await agent.say("command_result", command_id="cmd-000000000000", status="completed", result={})
    await agent.say("command_ack", command_id="rubbish", status="acknowledged")
    await lab.admin.move(session["id"], "hibernated")
    await other.complete(agent.commands[1])
    assert (await lab.admin.session(session["id"]))["state"] == "hibernated"
    assert not [frame for frame in agent.told if frame["type"] == "error"]


async def test_a_session_that_dies_at_its_agent(lab):
    agent = await hosted(lab)
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    await agent.say("status", session_id=id, state="exited")
    assert (await lab.admin.becomes(id, "Failed"))["status"]["vnc_url"] is None


async def test_an_agent_that_leaves_keeps_its_sessions(lab):
    agent = await hosted(lab)
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    await agent.leave()
    await lab.admin.agent_is(agent.name, "offline")
    assert (await lab.admin.session(id))["state"] == "running"
    await lab.admin.refused("AGENT_OFFLINE", "PATCH", f"/sessions/{id}", {"state": "hibernated"})
    await lab.admin.good("DELETE", f"/sessions/{id}", status=204)
    assert (await lab.admin.session(id))["state"] == "terminating"
    await agent.join()
    await agent.commanded("stop_session", id)
    await lab.admin.becomes(id, "Terminated")


async def test_a_command_without_a_result_fails_in_the_end(build_lab):
    lab = await build_lab(labs={"command_timeout": "500ms", "stop_retry": "200ms"})
    agent = await hosted(lab, start_session=labs_agent.acknowledge)
    made = await lab.admin.start(user="x", platform=agent.platform)
    said = await lab.admin.becomes(made["id"], "Failed")
    assert said["status"]["message"] == "The agent did not answer in time"


async def test_a_stop_without_a_result_is_said_again(build_lab):
    lab = await build_lab(labs={"stop_retry": "200ms"})
    agent = await hosted(lab, stop_session=labs_agent.ignore)
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    await lab.admin.good("DELETE", f"/sessions/{id}", status=204)
    again = await agent.commanded("stop_session", id, 3)
    assert len({command.id for command in agent.commands if command.action == "stop_session"}) == 1
    await agent.complete(again)
    await lab.admin.becomes(id, "Terminated")


# --- idleness


async def test_an_idle_session_sleeps(lab):
    agent = await hosted(lab)
    never = (await lab.admin.running(user="x", platform=agent.platform, idle_timeout="0s"))["id"]
    since = time.monotonic()
    id = (await lab.admin.running(user="x", platform=agent.platform, idle_timeout="4s"))["id"]
    await agent.commanded("hibernate_session", id)
    assert 4 <= time.monotonic() - since < 20
    await lab.admin.becomes(id, "Hibernated")
    assert (await lab.admin.session(never))["state"] == "running"


async def test_a_viewer_keeps_a_session_awake(build_lab):
    lab = await build_lab(labs={"activity_interval": "100ms"})
    agent = await hosted(lab)
    id = (await lab.admin.running(user="admin", platform=agent.platform, idle_timeout="4s"))["id"]
    viewer = await lab.admin.view(id)
    began, until = time.time(), time.monotonic() + 8
    while time.monotonic() < until:
        viewer.send(b"key")
        await asyncio.sleep(0.05)
    said = await lab.admin.session(id)
    assert said["state"] == "running" and seconds(said["last_activity"]) > began + 4
    await agent.commanded("hibernate_session", id)
    while (heard := await viewer.next()).kind == "binary":
        pass
    assert heard.kind == "close", "whoever only watches is no reason to stay awake"


# --- lists


async def test_sessions_are_filtered_sorted_and_paged(build_lab):
    lab = await build_lab()
    agents = [await lab.joined(f"agent-{index}", platform) for index, platform in enumerate(("docker", "kubernetes"))]
    await lab.admin.good("POST", "/templates", FIREFOX | {"name": "plain"}, 201)
    ids, users = [], ["carl", "anna", "boris"]
    for index in range(45):
        tags = [f"t{index % 2}", f"u{index % 3}"]
        template = "plain" if index % 5 == 0 else "firefox-browser"
        wish = {"user": users[index % 3], "platform": ("docker", "kubernetes")[index % 2], "tags": tags}
        ids.append((await lab.admin.start(template, **wish))["id"])
    for id in ids:
        await lab.admin.becomes(id, "Running")
    for id in ids[:4]:
        await lab.admin.move(id, "hibernated")
    await lab.admin.good("DELETE", f"/sessions/{ids[4]}", status=204)
    await lab.admin.becomes(ids[4], "Terminated")

    async def found(**params):
        said = await lab.admin.get("/sessions", **({"limit": 100} | params))
        assert said["pagination"]["total"] == len(said["sessions"]) or "page" in params
        return [row["id"] for row in said["sessions"]]

    last_first = ids[::-1]
    for page, rows in ((1, last_first[:20]), (3, last_first[40:]), (4, [])):
        said = await lab.admin.get("/sessions", page=page, limit=20)
        assert [row["id"] for row in said["sessions"]] == rows
        assert said["pagination"] == {"page": page, "limit": 20, "total": 45, "total_pages": 3}
    assert (await lab.admin.get("/sessions", limit=1000))["pagination"]["limit"] == 100
    assert await found(order="asc") == ids == await found(sort="created_at", order="asc")
    assert await found(user="anna", order="asc") == ids[1::3]
    assert await found(template="plain", order="asc") == ids[::5]
    assert await found(platform="docker", order="asc") == ids[::2] == await found(agent_id=agents[0].name, order="asc")
    assert await found(tags="t1,u2", order="asc") == [id for index, id in enumerate(ids) if index % 2 == 1 and index % 3 == 2]
    assert await found(tags="t1,nothing") == []
    assert await found(state="hibernated", order="asc") == ids[:4] and await found(state="terminated") == [ids[4]]
    assert await found(state="running", user="carl", platform="docker", order="asc") == [id for id in ids[5:] if id in ids[::6]]
    assert set((await found(sort="updated_at"))[:5]) == set(ids[:5])
    by_user = [row["user"] for row in await lab.admin.listed("/sessions", sort="user", order="asc")]
    assert by_user == sorted(by_user) and len(set(by_user)) == 3
    states = [row["state"] for row in await lab.admin.listed("/sessions", sort="state")]
    assert [state for index, state in enumerate(states) if index == 0 or states[index - 1] != state] == sorted(set(states), reverse=True)
    for wrong in ("sort=name", "order=up", "state=tired", "page=0", "limit=0", "limit=x", "user=a&user=b"):
        await lab.admin.refused("INVALID_PARAMETER", "GET", f"/sessions?{wrong}", field=wrong.partition("=")[0])


# --- logs


async def test_the_last_lines_of_a_log(lab):
    agent = await hosted(lab)
    path = f"/sessions/{(await lab.admin.running(user='x', platform=agent.platform))['id']}/logs"
    agent.lines = [f"2025-11-22T10:45:15Z [INFO] line {index}" for index in range(300)] + ["no time"]
    assert (await lab.admin.get(path))["logs"] == agent.lines[-100:]
    assert (await lab.admin.get(path, tail=2, timestamps="false"))["logs"] == ["[INFO] line 299", "no time"]
    assert (await lab.admin.get(path, tail=0))["logs"] == []
    assert (await lab.admin.get(path, tail=99_999))["logs"] == agent.lines
    for wrong in ("tail=-1", "tail=x", "timestamps=maybe", "follow=maybe", "follow=true"):
        await lab.admin.refused("INVALID_PARAMETER", "GET", f"{path}?{wrong}", field=wrong.partition("=")[0])


async def test_a_log_that_nobody_has(build_lab):
    """The agent says nothing, or is away: what the server knows itself."""
    lab = await build_lab(labs={"logs_wait": "200ms"})
    agent = await hosted(lab, get_logs=labs_agent.ignore)
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    said = (await lab.admin.get(f"/sessions/{id}/logs"))["logs"]
    assert said and all(labs_agent.STARTED_AT[4] in line for line in said)
    await agent.leave()

    async def away():
        return (await lab.admin.agent(agent.name))["status"] == "offline"

    await is_true_soon(away)
    assert (await lab.admin.get(f"/sessions/{id}/logs", tail=1))["logs"] == said[-1:]


async def follow(lab, id: str, query: str = "", token: str | None = None):
    """A socket that a log is followed by."""
    path = f"/api/v1/sessions/{id}/logs?follow=true{query}&token={token or lab.admin.token}"
    return await open_socket(lab.house, path=path, port=lab.house.labs_port)


async def test_a_log_is_followed_line_by_line(lab):
    agent = await hosted(lab)
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    agent.lines = [f"2025-11-22T10:45:{index:02}Z [INFO] line {index}" for index in range(60)]
    follower = await follow(lab, id, "&tail=3")
    bare = await follow(lab, id, "&tail=1&timestamps=false")
    assert [await follower.text() for _ in range(3)] == agent.lines[-3:]
    assert await bare.text() == "[INFO] line 59"
    for number in range(3):
        agent.lines.append(f"2025-11-22T10:46:{number:02}Z [INFO] more {number}")
        assert await follower.text() == agent.lines[-1]
        assert await bare.text() == f"[INFO] more {number}"
    await lab.admin.move(id, "terminated")
    while (heard := await follower.next()).kind == "text":
        pass
    assert heard.kind == "close" and int.from_bytes(heard.data[:2]) == 1000


async def test_who_may_not_follow_is_refused_before_the_upgrade(lab):
    agent, student = await hosted(lab), await lab.person()
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    target = f"/api/v1/sessions/{id}/logs?follow=true"
    for query, code, status in (
        ("", "AUTH_TOKEN_MISSING", 401), ("&token=rubbish", "AUTH_TOKEN_INVALID", 401),
        (f"&token={student.token}", "AUTH_INSUFFICIENT_PERMISSIONS", 403), (f"&tail=x&token={lab.admin.token}", "INVALID_PARAMETER", 400),
    ):
        assert await upgrade_refused(lab.house, code, target + query) == status
    unknown = f"/api/v1/sessions/{NOBODY}/logs?follow=true&token={lab.admin.token}"
    assert await upgrade_refused(lab.house, "SESSION_NOT_FOUND", unknown) == 404
