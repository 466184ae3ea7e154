"""Every JSON of the contract of labs, made to happen: what the server says is the example, but for ids, times and tokens."""

import re
import time

import pytest

import labs_agent
from labs import PASSWORD, claims, seconds, seen
from labs_agent import BANNER
from labs_examples import JSON, example, like, refused_like

K8S, DOCKER = example("List Agents", "200")["agents"]
DETAILS = example("Get Session Details", "200")


@pytest.fixture
async def world(build_lab):
    """A server of the test's own."""
    return await build_lab()


async def contract_agent(lab, shown=K8S):
    """An agent of the contract's list, registered with what it is shown with."""
    capacity = {name: value for name, value in shown["capacity"].items() if name != "current_sessions"}
    return await lab.joined(shown["agent_id"], shown["platform"], region=shown["region"], capacity=capacity, metadata=shown["metadata"])


def place_of(command) -> dict:
    """Where the contract's session runs, by the name of this one."""
    name, parts = command.data["name"], DETAILS["platform_metadata"]
    metadata = {key: value.replace(DETAILS["name"], name) for key, value in parts.items()}
    return {"container_id": DETAILS["status"]["container_id"], "platform_metadata": metadata}


async def obey_in_full(agent, command):
    """As an agent that says everything that can be said."""
    await agent.acknowledge(command)
    await agent.complete(command, **(place_of(command) if command.action == "start_session" else {}))


async def contract_session(lab, **body) -> dict:
    """The contract's session of john.doe, running at its agent."""
    agent = await contract_agent(lab)
    agent.does["start_session"] = obey_in_full
    made = await lab.admin.good("POST", "/sessions", example("Create Session", "Request Body") | body, 202)
    return await lab.admin.becomes(made["id"], "Running")


def test_every_json_of_the_contract_is_in_a_test():
    """Each is named by its heading and its label in one of these files, but the first two of what people send at every turn."""
    import pathlib

    here = pathlib.Path(__file__).parent
    text = re.sub(r"\s+", " ", "".join(path.read_text() for path in here.glob("*labs*.py")))
    assert len(JSON) == 40
    missing = [key for key in JSON if f'"{key[0]}", "{key[1]}"' not in text]
    assert missing == []


# --- authentication


async def test_login_and_logout(world):
    user = await world.person("admin", email="admin@example.com")
    body = dict(zip(example("Login", "Request Body"), (user.name, PASSWORD)))
    said = await world.nobody.good("POST", "/auth/login", body)
    world.house.secrets.append(said["token"])
    like(said, "Login", "200", username=user.name)
    assert said["user"]["id"] == user.user["id"] and said["token"].count(".") == 2
    assert seconds(said["expires_at"]) == claims(said["token"])["exp"]
    assert abs(seconds(said["expires_at"]) - time.time() - 24 * 3600) < 60
    refused = await world.nobody.refused("AUTH_INVALID_CREDENTIALS", "POST", "/auth/login", body | {"password": "wrong-password"})
    refused_like(refused, "Login", "401")
    like(await user.good("POST", "/auth/logout"), "Logout", "200")


# --- agents


async def test_agents(world):
    first = await contract_agent(world)
    await contract_agent(world, DOCKER)
    like(await world.admin.get("/agents"), "List Agents", "200", current_sessions=0)
    await first.leave()
    first.registers["metadata"] = example("Get Agent Details", "200")["metadata"]
    await first.join()
    await world.admin.running(user="admin", platform="kubernetes")
    said = await world.admin.agent(first.name)
    like(said, "Get Agent Details", "200", current_sessions=1, uptime_seconds=int)
    assert 0 <= said["uptime_seconds"] < 60
    refused = await world.admin.refused("AGENT_NOT_FOUND", "GET", "/agents/invalid-agent-id")
    refused_like(refused, "Get Agent Details", "404")
    body = example("Update Agent Status", "Request Body")
    like(await world.admin.good("PATCH", f"/agents/{first.name}", body), "Update Agent Status", "200")


async def test_statistics_of_agents(world):
    """Three of one platform and two of the other, one of them drained, 45 sessions on 300 places."""
    room = {"kubernetes": (100, 100, 50), "docker": (25, 25)}
    for platform, places in room.items():
        for index, most in enumerate(places):
            await world.joined(f"{platform}-{index}", platform, capacity={"max_sessions": most})
    for _ in range(45):
        await world.admin.start(user="john.doe")
    await world.admin.good("PATCH", "/agents/docker-1", {"status": "draining"})
    like(await world.admin.get("/agents/stats"), "Agent Statistics", "200")


# --- sessions


async def test_a_new_session(world):
    body = example("Create Session", "Request Body")
    refused = await world.admin.refused("NO_AGENTS_AVAILABLE", "POST", "/sessions", body)
    refused_like(refused, "Create Session", "503")
    refused = await world.admin.refused("TEMPLATE_NOT_FOUND", "POST", "/sessions", body | {"template": "invalid-template"})
    refused_like(refused, "Create Session", "400")
    agent = await contract_agent(world)
    agent.does["start_session"] = labs_agent.ignore
    said = await world.admin.good("POST", "/sessions", body, 202)
    like(said, "Create Session", "202")
    assert re.fullmatch(r"john-doe-firefox-browser-[0-9a-f]{6}", said["name"])


async def test_a_session_that_runs(world):
    session = await contract_session(world, tags=["project-alpha"])
    like(session, "Get Session Details", "200")
    like(await world.admin.get("/sessions"), "List Sessions", "200")
    assert session["status"]["vnc_url"] == f"/vnc-viewer/{session['id']}"
    for path in (f"/sessions/{DETAILS['id']}", ):
        refused_like(await world.admin.refused("SESSION_NOT_FOUND", "GET", path), "Get Session Details", "404")
        refused_like(await world.admin.refused("SESSION_NOT_FOUND", "DELETE", path), "Delete Session", "404")


async def test_a_session_that_changes(world):
    session = await contract_session(world)
    body = example("Update Session State", "Request Body")
    like(await world.admin.good("PATCH", f"/sessions/{session['id']}", body), "Update Session State", "200")
    await world.admin.good("DELETE", f"/sessions/{session['id']}", status=204)
    await world.admin.becomes(session["id"], "Terminated")
    refused = await world.admin.refused("INVALID_STATE_TRANSITION", "PATCH", f"/sessions/{session['id']}", {"state": "running"})
    refused_like(refused, "Update Session State", "400")


async def test_the_log_of_a_session(world):
    session = await contract_session(world)
    lines = example("Session Logs", "200")["logs"]
    world.agents[0].lines = ["an older one", *lines]
    said = await world.admin.get(f"/sessions/{session['id']}/logs", tail=4)
    like(said, "Session Logs", "200")
    assert said["logs"] == lines


# --- templates and users


async def test_templates(world):
    only = {"category": "Web Browsers"}
    like(await world.admin.get("/templates", **only), "List Templates", "200")
    like(await world.admin.get("/templates/firefox-browser"), "Get Template Details", "200")


async def test_users(world):
    said = await world.admin.get("/users", role="admin")
    like(said, "List Users", "200", email=str, last_login=said["users"][0]["last_login"])
    body = example("Create User", "Request Body")
    like(await world.admin.good("POST", "/users", body, 201), "Create User", "201")
    await world.nobody.good("POST", "/auth/login", {"username": body["username"], "password": body["password"]})
    said = await world.admin.get("/users", role="user")
    like(said, "List Users", "200", username="john.doe", email="john.doe@example.com", role="user")


# --- errors


async def test_the_form_of_errors(world):
    wish, headers = {"user": 7, "template": "x"}, {"x-request-id": "req-abc123"}
    said = await world.admin.refused("VALIDATION_FAILED", "POST", "/sessions", wish, headers=headers)
    assert set(said) == set(example("Error Response Format", "")) and said["details"] == {"field": "user"}
    assert said["request_id"] == "req-abc123"


async def test_the_form_of_a_refusal_of_too_many(build_lab):
    world = await build_lab(labs={"creations_a_minute": 1})
    await world.admin.ask("POST", "/sessions", {})
    answer = await world.admin.ask("POST", "/sessions", {})
    said = answer.json()
    refused_like(said, "Rate Limit Exceeded Response", "429", retry_after=said["retry_after"])
    assert said["message"] == f"Too many requests. Please try again in {said['retry_after']} seconds."
    assert answer.status_code == 429 and 1 <= said["retry_after"] <= 60 and answer.headers["retry-after"] == str(said["retry_after"])


# --- the agents' socket


async def test_what_agents_say_and_hear(world):
    """The contract's agent says each of its messages as they stand, with the command's and the session's ids put in."""
    agent = world.agent(K8S["agent_id"], "kubernetes")
    agent.does = dict.fromkeys(("start_session", "hibernate_session", "wake_session", "stop_session"), labs_agent.ignore)
    agent.screen = labs_agent.unreached
    await agent.connect()
    await agent.send(example("Agent → Control Plane Messages", "Registration"))
    like(await agent.heard("register_ack"), "Control Plane → Agent Messages", "Registration Acknowledgement")
    before = await world.admin.agent(agent.name)
    await agent.send(example("Agent → Control Plane Messages", "Heartbeat"))

    body = example("Create Session", "Request Body")
    made = await world.admin.good("POST", "/sessions", body, 202)
    command = await agent.commanded("start_session")
    environment = example("Get Template Details", "200")["environment"]
    like(command.frame, "Control Plane → Agent Messages", "Start Session Command", environment=environment)
    assert (command.session, command.data["name"]) == (made["id"], made["name"])
    after = await world.admin.agent(agent.name)
    assert after["capacity"] == before["capacity"] | {"current_sessions": 1}, "a heartbeat leaves the rest as it was"

    told = {"command_id": command.id}
    result = example("Agent → Control Plane Messages", "Command Result")
    result = result | told | {"result": result["result"] | {"session_id": made["id"]}}
    await agent.send(example("Agent → Control Plane Messages", "Command Acknowledgement") | told)
    await agent.send(result)
    session = await world.admin.becomes(made["id"], "Running")
    where = {name: session["status"][name] for name in ("pod_ip", "pod_name", "started_at")}
    assert where == {name: result["result"][name] for name in where}

    viewer = await world.admin.view(made["id"])
    request = await agent.heard("vnc_proxy_request")
    like(request, "Control Plane → Agent Messages", "VNC Proxy Request", pod_name=result["result"]["pod_name"])
    assert request["session_id"] == made["id"]
    tunnel = await agent.tunnel()
    await tunnel.ready()
    await tunnel.send(BANNER)
    assert await seen(viewer, len(BANNER)) == BANNER

    async def commanded(state: str, action: str) -> dict:
        agent.does[action] = labs_agent.obey
        await world.admin.move(made["id"], state)
        command = await agent.commanded(action)
        assert (command.session, command.data["name"]) == (made["id"], made["name"])
        return command.frame

    like(await commanded("hibernated", "hibernate_session"), "Control Plane → Agent Messages", "Hibernate Session Command")
    like(await commanded("running", "wake_session"), "Control Plane → Agent Messages", "Wake Session Command")
    like(await commanded("terminating", "stop_session"), "Control Plane → Agent Messages", "Terminate Session Command")
    await world.admin.becomes(made["id"], "Terminated")


async def test_a_command_that_fails(world):
    agent = await contract_agent(world)
    agent.does["start_session"] = labs_agent.ignore
    made = await world.admin.start(user="john.doe")
    command = await agent.commanded("start_session")
    error = example("Agent → Control Plane Messages", "Command Error")
    await agent.send(error | {"command_id": command.id})
    session = await world.admin.becomes(made["id"], "Failed")
    assert session["status"]["message"] == error["error"] and session["status"]["vnc_url"] is None
