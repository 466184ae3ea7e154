"""The second dialect, which agents in the field speak: they register by HTTP, push the screen's banner before anybody watches, and
know nothing of credit."""

import asyncio
import time

import pytest

import labs_agent
from labs import is_error, seconds, seen, upgrade_refused
from labs_agent import BANNER, FieldAgent
from quiz import is_true_soon


async def fielded(lab, **does) -> FieldAgent:
    """One that is online."""
    agent = lab.in_field()
    agent.does |= does
    await agent.join()
    return agent


async def starts(agent: FieldAgent, command):
    """As agents in the field do it: the screen is there about when the command is done, and its banner comes at once."""
    await agent.acknowledge(command)
    await agent.status(command.session)
    await agent.say("vnc_ready", sessionId=command.session, vncPort=5901, podName=f"pod-{command.session[:8]}")
    await agent.push(command.session, BANNER)
    await agent.complete(command)


async def test_registration_connection_and_heartbeats(lab):
    agent = lab.in_field()
    assert (await agent.enrol()).status_code == 201
    assert (await lab.admin.agent(agent.name))["status"] == "offline"
    assert (await agent.enrol()).status_code == 200
    await agent.connect()
    said = await lab.admin.agent_is(agent.name, "online")
    assert (said["platform"], said["region"], said["metadata"]) == (agent.platform, "us-east-1", {"zone": "a"})
    assert said["capacity"] == {"max_cpu": 64, "max_memory": 256, "max_sessions": 10, "current_sessions": 0}
    answer = await agent.ask(f"/{agent.name}/heartbeat", {"status": "online", "activeSessions": 0, "capacity": {"maxSessions": 7}})
    assert answer.status_code == 200 and abs(seconds(answer.json()["lastHeartbeat"]) - time.time()) < 60
    assert (await lab.admin.agent(agent.name))["capacity"]["max_sessions"] == 7
    await agent.heartbeat()  # which has no answer

    async def heard():
        return (await lab.admin.agent(agent.name))["capacity"]["max_sessions"] == 10

    await is_true_soon(heard)
    await agent.leave()
    await lab.admin.agent_is(agent.name, "offline", 1)


async def test_what_is_refused_by_http(lab):
    agent = lab.in_field()
    for body, code, field in (
        ({}, "MISSING_REQUIRED_FIELD", "agentId"), ({"agentId": "a"}, "MISSING_REQUIRED_FIELD", "platform"),
        ({"agentId": "a b", "platform": "docker"}, "VALIDATION_FAILED", "agentId"), ([], "VALIDATION_FAILED", None),
    ):
        is_error(await agent.ask("/register", body), code, field)
    is_error(await agent.ask(f"/{agent.name}/heartbeat", {}), "AGENT_NOT_FOUND")
    await lab.admin.refused("AGENT_NOT_FOUND", "GET", f"/agents/{agent.name}")


async def test_an_upgrade_that_is_refused(lab):
    for query, code, status in (("", "MISSING_REQUIRED_FIELD", 400), ("agent_id=a%20b", "INVALID_PARAMETER", 400)):
        assert await upgrade_refused(lab.house, code, f"/api/v1/agents/connect?{query}", "X-Agent-API-Key: " + "0" * 64) == status
    unknown = f"/api/v1/agents/connect?agent_id={lab.fresh()}"
    assert await upgrade_refused(lab.house, "AGENT_NOT_FOUND", unknown, "X-Agent-API-Key: " + "0" * 64) == 404


async def test_the_whole_life_of_a_session(lab):
    agent = await fielded(lab, start_session=starts)
    since = time.monotonic()
    made = await lab.admin.start(user="x", platform=agent.platform, tags=["a"])
    command = await agent.commanded("start_session")
    expected = {"user": "x", "template": "firefox-browser", "memory": "2Gi", "cpu": "1000m", "persistentHome": True, "idleTimeout": "30m"}
    assert {name: command.data[name] for name in expected} == expected and command.data["tags"] == ["a"]
    assert {"sessionId", "templateManifest", "namespace", "maxSessionDuration"} <= set(command.data)
    manifest = command.data["templateManifest"]
    assert manifest["spec"]["baseImage"] == "lscr.io/linuxserver/firefox:latest" and manifest["spec"]["ports"]
    said = await lab.admin.becomes(made["id"], "Running")
    assert time.monotonic() - since < 30

    async def placed():
        return (await lab.admin.session(made["id"]))["status"]["pod_ip"] == "10.42.1.9"

    await is_true_soon(placed)
    assert said["status"]["vnc_url"] == f"/vnc-viewer/{made['id']}"
    await lab.admin.move(made["id"], "hibernated")
    await lab.admin.move(made["id"], "running")

    async def stops(agent, command):
        await agent.acknowledge(command)
        await agent.say("vnc_error", sessionId=command.session, error="tunnel closed")
        await agent.complete(command)

    agent.does["stop_session"] = stops
    await lab.admin.good("DELETE", f"/sessions/{made['id']}", status=204)
    assert (await lab.admin.becomes(made["id"], "Terminated"))["status"]["message"] == "Session terminated"
    assert [command.action for command in agent.commands] == ["start_session", "hibernate_session", "wake_session", "stop_session"]


async def test_a_command_that_fails(lab):
    agent = await fielded(lab, start_session=labs_agent.fail("no image"))
    made = await lab.admin.start(user="x", platform=agent.platform)
    assert (await lab.admin.becomes(made["id"], "Failed"))["status"]["message"] == "no image"


async def running(lab, agent) -> str:
    """A session whose banner was pushed."""
    return (await lab.admin.running(user="x", platform=agent.platform))["id"]


async def test_a_banner_that_came_before_anybody_watched_is_seen_by_the_first_viewer(lab):
    agent = await fielded(lab, start_session=starts)
    for shard in lab.house.two_shards:
        id = await running(lab, agent)
        await agent.push(id, b"and more")
        viewer = await lab.admin.view(id, shard)
        assert await seen(viewer, len(BANNER) + 8) == BANNER + b"and more"
        viewer.send(b"RFB 003.008\n" + bytes(range(256)))
        await agent.stream(id).has(268)
        assert bytes(agent.stream(id).received) == BANNER + bytes(range(256))
        await agent.push(id, b"x" * 100_000)
        assert await seen(viewer, 100_000) == b"x" * 100_000
        await viewer.leave()


async def test_the_next_viewer_sees_a_new_tunnel_and_never_the_middle_of_one(lab):
    agent = await fielded(lab, start_session=starts)
    id = await running(lab, agent)
    first = await lab.admin.view(id)
    assert await seen(first, len(BANNER)) == BANNER
    await first.leave()

    async def told():
        return [closed for closed in agent.vnc_closed if closed["sessionId"] == id]

    await is_true_soon(told)
    await agent.push(id, b"the end of the old stream")
    await agent.say("vnc_ready", sessionId=id, vncPort=5901, podName="pod")
    await agent.push(id, BANNER)
    second = await lab.admin.view(id)
    assert await seen(second, len(BANNER)) == BANNER
    third = await lab.admin.view(id)
    assert await second.close_code() == 1008
    await is_true_soon(told)
    await agent.push(id, BANNER + b"!")
    assert await seen(third, len(BANNER) + 1) == BANNER + b"!"


async def test_what_is_pushed_for_nobody_is_bounded(lab):
    agent = await fielded(lab, start_session=starts)
    id = await running(lab, agent)
    await agent.push(id, bytes(100 << 10))

    async def told():
        return [closed for closed in agent.vnc_closed if closed["sessionId"] == id]

    await is_true_soon(told)
    await agent.push(id, BANNER)
    assert await seen(await lab.admin.view(id), len(BANNER)) == BANNER


async def test_a_fault_of_the_screen_ends_the_viewer_and_not_the_session(lab):
    agent = await fielded(lab, start_session=starts)
    id = await running(lab, agent)
    viewer = await lab.admin.view(id)
    assert await seen(viewer, len(BANNER)) == BANNER
    await agent.say("vnc_error", sessionId=id, error="broken pipe")
    assert await viewer.close_code() == 1011
    assert (await lab.admin.session(id))["state"] == "running"


async def test_words_that_are_not_understood_are_passed_over(lab):
    agent = await fielded(lab, start_session=starts)
    for text in ("{}", "rubbish", '{"type":"what","payload":{}}', '{"type":"ack","payload":{}}'):
        await agent.socket.send(text)
    await agent.say("pong")
    await running(lab, agent)
    assert {frame["type"] for frame in agent.told} == {"command"}


async def test_one_agent_may_return_in_the_other_dialect(lab):
    agent = await fielded(lab, start_session=starts)
    id = await running(lab, agent)
    await agent.leave()
    other = lab.agent(agent.name, agent.platform)
    await other.join()
    await lab.admin.move(id, "hibernated")
    assert (await other.commanded("hibernate_session", id)).frame["type"] == "command"


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_an_agent_outlives_our_restart(build_lab, end):
    lab = await build_lab()
    agent = await fielded(lab, start_session=starts)
    id = await running(lab, agent)
    await asyncio.to_thread(getattr(lab.house, end))
    await asyncio.wait_for(agent.over.wait(), 5)
    lab.house.start()
    assert (await agent.enrol()).status_code == 200
    await agent.connect()
    await lab.admin.agent_is(agent.name, "online")
    assert (await lab.admin.session(id))["state"] == "running"
    await agent.push(id, BANNER)
    assert await seen(await lab.admin.view(id), len(BANNER)) == BANNER
