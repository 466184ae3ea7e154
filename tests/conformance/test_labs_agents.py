"""Agents on the contract's socket: they join, speak, are chosen, drained and missed."""

import asyncio
import json
import time

import pytest

import labs_agent
from labs import is_error, seconds, upgrade_refused
from quiz import UPGRADE, knock
from test_metrics import samples

FAULTS = [
    ("not json", "VALIDATION_FAILED", None), ("[]", "VALIDATION_FAILED", None), ("{}", "MISSING_REQUIRED_FIELD", "type"),
    ('{"type":"what"}', "VALIDATION_FAILED", "type"), ('{"type":"command_ack"}', "MISSING_REQUIRED_FIELD", "command_id"),
    ('{"type":"heartbeat","agent_id":"another"}', "VALIDATION_FAILED", "agent_id"),
    ('{"type":"heartbeat","capacity":{"max_sessions":-1}}', "VALIDATION_FAILED", "capacity.max_sessions"),
    ('{"type":"command_result","command_id":"cmd-1","status":"maybe"}', "VALIDATION_FAILED", "status"),
    ('{"type":"vnc_data","proxy_id":"proxy-1"}', "MISSING_REQUIRED_FIELD", "data"),
    ('{"type":"vnc_proxy_ready","proxy_id":"1"}', "VALIDATION_FAILED", "proxy_id"),
]


async def ended(agent, timeout: float = 30) -> int | None:
    """Waits for the end of an agent's connection; its code."""
    await asyncio.wait_for(agent.over.wait(), timeout)
    return agent.close_code


# --- joining


async def test_an_agent_joins_and_is_offline_within_a_second_of_its_end(lab):
    agent = lab.agent(platform="kubernetes")
    answer = await agent.join()
    assert answer == {"type": "register_ack", "agent_id": agent.name, "status": "registered", "heartbeat_interval": "10s"}
    said = await lab.admin.agent(agent.name)
    assert (said["status"], said["platform"], said["region"]) == ("online", "kubernetes", "us-east-1")
    assert said["capacity"] == labs_agent.CONTRACT_CAPACITY | {"current_sessions": 0}
    assert said["websocket_conn_id"].startswith("conn-") and abs(seconds(said["last_heartbeat"]) - time.time()) < 60
    await agent.leave()
    said = await lab.admin.agent_is(agent.name, "offline", 1)
    assert (said["websocket_conn_id"], said["uptime_seconds"]) == (None, None)


async def test_a_pulled_cable_is_noticed_as_well(lab):
    agent = await lab.joined()
    agent.vanish()
    await lab.admin.agent_is(agent.name, "offline", 1)


async def test_an_agent_that_says_little(lab):
    agent = lab.agent(region=None, capacity={"max_sessions": 3}, metadata={"docker_version": "24.0.7"})
    await agent.join()
    said = await lab.admin.agent(agent.name)
    assert said["capacity"] == {"max_sessions": 3, "current_sessions": 0} and said["metadata"] == {"docker_version": "24.0.7"}
    bare = lab.agent()
    bare.registers = {}
    await bare.join()
    assert (await lab.admin.agent(bare.name))["capacity"] == {"current_sessions": 0}


@pytest.mark.parametrize("query", [
    ("", "MISSING_REQUIRED_FIELD"), ("agent_id=a", "MISSING_REQUIRED_FIELD"), ("platform=docker", "MISSING_REQUIRED_FIELD"),
    ("agent_id=a%20b&platform=docker", "INVALID_PARAMETER"), ("agent_id=a&agent_id=b&platform=docker", "INVALID_PARAMETER"),
    ("agent_id=a&platform=docker&region=%C3%A9", "INVALID_PARAMETER"),
], ids=lambda query: query[0])
async def test_an_upgrade_that_is_refused(lab, query):
    said, code = query
    assert await upgrade_refused(lab.house, code, f"/agent/ws?{said}") == 400


async def test_who_says_anything_else_first_is_sent_away(lab):
    for text in ('{"type":"heartbeat"}', '{"type":"register"}', "rubbish"):
        agent = lab.agent()
        await agent.connect()
        await agent.socket.send(text)
        assert await ended(agent) == 1008
        await lab.admin.refused("AGENT_NOT_FOUND", "GET", f"/agents/{agent.name}")


async def test_who_registers_as_another_is_sent_away(lab):
    agent = lab.agent()
    await agent.connect()
    await agent.register(agent_id="another-agent")
    assert await ended(agent) == 1008
    for name in (agent.name, "another-agent"):
        await lab.admin.refused("AGENT_NOT_FOUND", "GET", f"/agents/{name}")


async def test_who_does_not_register_in_time_is_sent_away(build_lab):
    lab = await build_lab(labs={"register_timeout": "300ms"})
    agent = lab.agent()
    since = time.monotonic()
    await agent.connect()
    assert await ended(agent) == 1008
    assert 0.3 <= time.monotonic() - since < 9, "sooner than by default"


async def test_a_new_connection_ends_the_old_one(lab):
    old = await lab.joined()
    session = await lab.admin.running(user="x", platform=old.platform)
    new = lab.agent(old.name, old.platform)
    await new.join()
    assert await ended(old) == 1008
    said = await lab.admin.agent(old.name)
    assert (said["status"], said["capacity"]["current_sessions"]) == ("online", 1)
    await lab.admin.move(session["id"], "hibernated")
    await new.commanded("hibernate_session")
    assert not [command for command in old.commands if command.action == "hibernate_session"]


async def test_an_agent_comes_again_as_something_else(lab):
    agent = await lab.joined(capacity={"max_sessions": 1})
    made = (await lab.admin.agent(agent.name))["id"]
    await agent.leave()
    again = lab.agent(agent.name, lab.fresh("platform"), region="eu", capacity={"max_sessions": 9, "max_cpu": 0.5}, metadata={"v": 2})
    await again.join()
    said = await lab.admin.agent(agent.name)
    assert (said["id"], said["platform"], said["region"], said["metadata"]) == (made, again.platform, "eu", {"v": 2})
    assert said["capacity"] == {"max_sessions": 9, "max_cpu": 0.5, "current_sessions": 0}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[0])
async def test_what_is_not_understood_is_told_and_does_nothing(lab, fault):
    text, code, field = fault
    agent = await lab.joined()
    await agent.socket.send(text)
    said = await agent.heard("error")
    assert (said["error"], said["code"]) == ("Invalid message", code) and said.get("details") == ({"field": field} if field else None)
    await agent.socket.send(b"\x07rubbish")
    await agent.heard("error", 2)
    assert (await lab.admin.agent(agent.name))["status"] == "online"


async def test_who_says_a_hundred_such_things_is_sent_away(lab):
    agent = await lab.joined()
    for _ in range(100):
        await agent.socket.send("{}")
    assert await ended(agent) == 1008


async def test_unknown_fields_are_ignored(lab):
    agent = await lab.joined(colour={"red": [1, None]})
    await agent.heartbeat(mood="good")
    assert (await lab.admin.agent(agent.name))["status"] == "online"


# --- heartbeats


async def test_a_heartbeat_changes_what_it_names(lab):
    agent = await lab.joined()
    await agent.say("heartbeat", capacity={"max_sessions": 7, "current_sessions": 55})

    async def changed():
        return (await lab.admin.agent(agent.name))["capacity"]["max_sessions"] == 7

    await labs_agent.is_true_soon(changed)
    expected = labs_agent.CONTRACT_CAPACITY | {"max_sessions": 7, "current_sessions": 0}
    assert (await lab.admin.agent(agent.name))["capacity"] == expected, "sessions are counted, not told"


async def test_an_agent_that_is_silent_is_offline_and_heard_of_again(build_lab):
    """Three heartbeats missed; its TCP connection stays as it is."""
    lab = await build_lab(labs={"heartbeat_interval": "1s"})
    silent, steady = lab.agent(platform="docker"), lab.agent(platform="kubernetes")
    assert (await silent.join(0.3))["heartbeat_interval"] == "1s"
    await steady.join(0.3)
    session = await lab.admin.running(user="admin", platform="docker")
    viewer = await lab.admin.view(session["id"])
    assert (await viewer.next()).data == labs_agent.BANNER
    silent.beats = False
    since = time.monotonic()
    said = await lab.admin.agent_is(silent.name, "offline")
    assert 2.5 < time.monotonic() - since < 15 and said["websocket_conn_id"] is None
    assert await viewer.close_code() == 1011
    await lab.admin.refused("NO_AGENTS_AVAILABLE", "POST", "/sessions", {"user": "x", "template": "firefox-browser", "platform": "docker"})
    await lab.admin.refused("AGENT_OFFLINE", "PATCH", f"/sessions/{session['id']}", {"state": "hibernated"})
    assert await lab.admin.view_refused("AGENT_OFFLINE", session["id"]) == 503
    assert (await lab.admin.session(session["id"]))["state"] == "running", "the session stays"
    assert (await lab.admin.agent(steady.name))["status"] == "online" and not silent.over.is_set()
    silent.beats = True
    await lab.admin.agent_is(silent.name, "online")
    await lab.admin.move(session["id"], "hibernated")


# --- lists, statistics, draining


async def test_agents_are_filtered_and_paged(build_lab):
    lab = await build_lab()
    for index in range(45):
        platform, region = ("docker", "eu") if index % 3 == 0 else ("kubernetes", "us-east-1")
        await lab.joined(f"agent-{index:02}", platform, region=region)
    names = [f"agent-{index:02}" for index in range(45)]

    async def page(**params):
        said = await lab.admin.get("/agents", **params)
        return [row["agent_id"] for row in said["agents"]], said["pagination"]

    assert await page() == (names[:20], {"page": 1, "limit": 20, "total": 45, "total_pages": 3})
    assert await page(page=3, limit=20) == (names[40:], {"page": 3, "limit": 20, "total": 45, "total_pages": 3})
    assert await page(limit=1000) == (names, {"page": 1, "limit": 100, "total": 45, "total_pages": 1})
    assert await page(page=9, limit=7) == ([], {"page": 9, "limit": 7, "total": 45, "total_pages": 7})
    assert (await page(platform="docker"))[0] == names[::3]
    assert (await page(region="eu", platform="kubernetes")) == ([], {"page": 1, "limit": 20, "total": 0, "total_pages": 0})
    await lab.admin.good("PATCH", "/agents/agent-01", {"status": "draining"})
    await lab.agents[2].leave()
    await lab.admin.agent_is("agent-02", "offline")
    for status, count in (("online", 43), ("draining", 1), ("offline", 1)):
        assert (await page(status=status))[1]["total"] == count
    for wrong in ("page=0", "limit=0", "limit=-1", "limit=x", "page=1.5", "status=tired", "page=1&page=2"):
        await lab.admin.refused("INVALID_PARAMETER", "GET", f"/agents?{wrong}", field=wrong.partition("=")[0])
    stats = await lab.admin.get("/agents/stats")
    assert (stats["total_agents"], stats["online_agents"], stats["offline_agents"], stats["draining_agents"]) == (45, 43, 1, 1)


async def test_statistics_of_nobody(build_lab):
    lab = await build_lab()
    said = await lab.admin.get("/agents/stats")
    assert json.dumps(said["utilization"]) == '{"percentage": 0.0, "sessions_available": 0}' and said["by_platform"] == {}
    await lab.joined(capacity={"max_sessions": 3})
    await lab.admin.start(user="x")
    assert (await lab.admin.get("/agents/stats"))["utilization"] == {"percentage": 33.3, "sessions_available": 2}


async def test_draining_outlives_heartbeats_and_the_connection(lab):
    agent = await lab.joined()
    session = await lab.admin.running(user="x", platform=agent.platform)
    wish = {"user": "x", "template": "firefox-browser", "platform": agent.platform}
    assert (await lab.admin.good("PATCH", f"/agents/{agent.name}", {"status": "draining"}))["status"] == "draining"
    await agent.heartbeat()
    await lab.admin.refused({"NO_AGENTS_AVAILABLE", "AGENT_DRAINING"}, "POST", "/sessions", wish)
    await lab.admin.move(session["id"], "hibernated")
    await lab.admin.move(session["id"], "running")
    await agent.leave()
    await lab.admin.agent_is(agent.name, "offline")
    await agent.join()
    assert (await lab.admin.agent(agent.name))["status"] == "draining"
    await lab.admin.refused({"NO_AGENTS_AVAILABLE", "AGENT_DRAINING"}, "POST", "/sessions", wish)
    assert (await lab.admin.good("PATCH", f"/agents/{agent.name}", {"status": "online"}))["status"] == "online"
    await lab.admin.running(user="x", platform=agent.platform)


async def test_a_status_that_nobody_can_set(lab):
    agent = await lab.joined()
    for body, code in (
        ({"status": "offline"}, "VALIDATION_FAILED"), ({"status": "tired"}, "VALIDATION_FAILED"), ({}, "MISSING_REQUIRED_FIELD"),
        ({"status": 7}, "VALIDATION_FAILED"), ([], "VALIDATION_FAILED"),
    ):
        await lab.admin.refused(code, "PATCH", f"/agents/{agent.name}", body)
    await lab.admin.refused("AGENT_NOT_FOUND", "PATCH", f"/agents/{lab.fresh()}", {"status": "online"})


# --- the end of agents


async def test_an_admin_removes_an_agent_that_has_nothing_to_do_any_more(lab):
    agent, student = await lab.joined(), await lab.person()
    path = f"/agents/{agent.name}"
    before = (await lab.admin.agent(agent.name))["id"]
    await student.refused("AUTH_INSUFFICIENT_PERMISSIONS", "DELETE", path)
    await lab.admin.refused("AGENT_IN_USE", "DELETE", path)
    session = await lab.admin.running(user="x", platform=agent.platform)
    await agent.leave()
    await lab.admin.agent_is(agent.name, "offline")
    await lab.admin.refused("AGENT_IN_USE", "DELETE", path)
    await agent.join()
    await lab.admin.good("DELETE", f"/sessions/{session['id']}", status=204)
    await lab.admin.becomes(session["id"], "Terminated")
    await lab.admin.good("PATCH", path, {"status": "draining"})
    await agent.leave()
    await lab.admin.agent_is(agent.name, "offline")
    await lab.admin.good("DELETE", path, status=204)
    for method in ("GET", "DELETE"):
        await lab.admin.refused("AGENT_NOT_FOUND", method, path)
    assert (await lab.admin.session(session["id"]))["agent_id"] == agent.name, "what is over names it still"
    await agent.join()
    said = await lab.admin.agent(agent.name)
    assert said["id"] != before and said["status"] == "online", "who comes again is new"


async def test_agents_that_stay_away_are_forgotten_for_good_and_make_room(build_lab, http):
    lab = await build_lab(labs={"forget_agents_after": "600ms", "max_agents": 2})
    stays, leaves = await lab.joined(), await lab.joined()
    full = lab.agent()
    await full.connect()
    await full.register()
    assert await ended(full) == 1013
    is_error(await lab.in_field().enrol(), "AGENT_LIMIT_REACHED")

    async def counted():
        return (await samples(lab.house, http))["homeroom_labs_agents_turned_away_total"] == 2

    await labs_agent.is_true_soon(counted)
    await leaves.leave()

    async def forgotten():
        return (await lab.admin.ask("GET", f"/agents/{leaves.name}")).status_code == 404

    await labs_agent.is_true_soon(forgotten)
    await lab.joined()
    assert (await lab.admin.agent(stays.name))["status"] == "online", "who is connected stays"
    lab.house.kill()
    lab.house.start()
    await lab.admin.refused("AGENT_NOT_FOUND", "GET", f"/agents/{leaves.name}")


# --- the choice


async def test_the_choice_of_an_agent(lab):
    """By platform and region; of those the one with the fewest sessions that has a place."""
    platform = lab.fresh("platform")
    small = await lab.joined(platform=platform, capacity={"max_sessions": 1})
    large = await lab.joined(platform=platform, capacity={"max_sessions": 2}, region="eu")
    await lab.joined(capacity={"max_sessions": 9})
    wish = {"user": "x", "template": "firefox-browser", "platform": platform}
    chosen = [(await lab.admin.good("POST", "/sessions", wish, 202))["agent_id"] for _ in range(3)]
    assert sorted(chosen[:2]) == sorted([small.name, large.name]) and chosen[2] == large.name
    await lab.admin.refused("AGENT_CAPACITY_EXCEEDED", "POST", "/sessions", wish)
    await lab.admin.refused("NO_AGENTS_AVAILABLE", "POST", "/sessions", wish | {"region": "mars"})
    await lab.admin.refused("NO_AGENTS_AVAILABLE", "POST", "/sessions", wish | {"platform": lab.fresh("nowhere")})
    await large.say("heartbeat", capacity={"max_sessions": 3})

    async def has_room():
        return (await lab.admin.ask("POST", "/sessions", wish)).status_code == 202

    await labs_agent.is_true_soon(has_room)


async def test_places_are_never_sold_twice_whoever_asks_at_once(lab):
    agent = await lab.joined(capacity={"max_sessions": 5})
    wish = {"user": "x", "template": "firefox-browser", "platform": agent.platform}
    answers = await asyncio.gather(*(lab.admin.ask("POST", "/sessions", wish) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] * 5 + [503] * 15
    assert (await lab.admin.agent(agent.name))["capacity"]["current_sessions"] == 5


# --- the key


async def test_the_key_that_agents_may_have_to_show(build_lab, tmp_path):
    key = tmp_path / "agent.key"
    key.write_text("a-key-that-is-long-enough-for-this\n")
    key.chmod(0o600)
    lab = await build_lab(labs={"agent_key_file": str(key)})
    lab.house.secrets.append(key.read_text().strip())
    target = "/agent/ws?agent_id=a&platform=docker"
    assert await upgrade_refused(lab.house, "AUTH_TOKEN_INVALID", target) == 401
    assert await upgrade_refused(lab.house, "AUTH_INSUFFICIENT_PERMISSIONS", target, "X-Agent-API-Key: another-key-as-long-as-this") == 403
    agent = lab.agent()
    await agent.join(X_Agent_API_Key=key.read_text().strip())
    answer = await knock(lab.house, f"{target}&key={key.read_text().strip()}", *UPGRADE, port=lab.house.labs_port)
    assert answer.status_code == 101
