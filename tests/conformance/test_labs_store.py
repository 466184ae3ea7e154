"""What was answered survives kill -9, and everything goes on from there."""

import asyncio

import pytest

import labs_agent
from labs import FIREFOX, PASSWORD, Person, claims, seen
from labs_agent import BANNER


async def restarted(lab):
    """SIGKILL, and another start."""
    lab.house.kill()
    for agent in lab.agents:
        if agent.socket:
            await asyncio.wait_for(agent.over.wait(), 30)
    await asyncio.to_thread(lab.house.start)


async def test_everything_that_was_made_is_there_after_kill_9(build_lab):
    lab = await build_lab()
    student = await lab.person()
    await lab.admin.good("POST", "/templates", FIREFOX | {"name": "plain"}, 201)
    agent = await lab.joined(metadata={"zone": "a"})
    await lab.admin.good("PATCH", f"/agents/{agent.name}", {"status": "draining"})
    await lab.admin.good("PATCH", f"/agents/{agent.name}", {"status": "online"})
    sessions = [await student.running(platform=agent.platform, tags=["a"], idle_timeout="2h") for _ in range(4)]
    await student.move(sessions[1]["id"], "hibernated")
    await student.good("DELETE", f"/sessions/{sessions[2]['id']}", status=204)
    await student.becomes(sessions[2]["id"], "Terminated")
    agent.does["start_session"] = labs_agent.fail("no room")
    await student.becomes((await student.start(platform=agent.platform))["id"], "Failed")
    left = student.renewed(student.user)
    await left.good("POST", "/auth/logout")

    async def all_of_it():
        rows = await lab.admin.listed("/sessions")
        whole = [await student.session(row["id"]) for row in rows]
        return rows, whole, await lab.admin.listed("/templates"), await lab.admin.listed("/users")

    before, shown = await all_of_it(), await lab.admin.agent(agent.name)
    await restarted(lab)
    assert await all_of_it() == before
    offline = await lab.admin.agent(agent.name)
    assert offline["status"] == "offline"
    for name in ("id", "platform", "region", "capacity", "metadata", "created_at"):
        assert offline[name] == shown[name], name
    await left.refused("AUTH_TOKEN_INVALID", "GET", "/sessions")
    assert (await student.view_refused("AUTH_TOKEN_INVALID", sessions[0]["id"], left.token)) == 401
    answer = await lab.nobody.good("POST", "/auth/login", {"username": student.name, "password": PASSWORD})
    lab.house.secrets.append(answer["token"])
    assert claims(answer["token"])["user_id"] == student.user["id"]

    # And it goes on from there.
    agent.does.clear()
    await agent.join()
    viewer = await Person(lab.house, lab.http, answer["token"]).view(sessions[0]["id"])
    assert await seen(viewer, len(BANNER)) == BANNER
    await student.move(sessions[1]["id"], "running")
    await student.running(platform=agent.platform)


@pytest.mark.parametrize("reaction", [labs_agent.ignore, labs_agent.acknowledge], ids=["unheard", "acknowledged"])
async def test_commands_that_were_under_way_are_sent_again_once_and_each_under_its_own_id(build_lab, reaction):
    lab = await build_lab()
    agent = await lab.joined()
    sessions = [(await lab.admin.running(user="x", platform=agent.platform))["id"] for _ in range(4)]
    await lab.admin.move(sessions[1], "hibernated")
    actions = ("start_session", "hibernate_session", "wake_session", "stop_session")
    agent.does = dict.fromkeys(actions, reaction)
    starting = (await lab.admin.start(user="x", platform=agent.platform))["id"]
    moves = [
        asyncio.create_task(lab.admin.ask("PATCH", f"/sessions/{id}", {"state": state}))
        for id, state in ((sessions[0], "hibernated"), (sessions[1], "running"))
    ]
    await lab.admin.move(sessions[2], "terminating")
    wanted = [("start_session", starting), ("hibernate_session", sessions[0]), ("wake_session", sessions[1]), ("stop_session", sessions[2])]
    first = {(await agent.commanded(action, id)).id: (action, id) for action, id in wanted}
    assert len(first) == 4
    await restarted(lab)
    await asyncio.gather(*moves, return_exceptions=True)
    told = len(agent.commands)
    await agent.join()
    for action, id in wanted:
        await agent.commanded(action, id, 2)
    await agent.heartbeat()
    await lab.admin.get("/agents")
    assert {command.id: (command.action, command.session) for command in agent.commands[told:]} == first
    assert len(agent.commands) == told + 4, "each of them once"
    for command in agent.commands[told:]:
        await agent.complete(command)
    for id, phase in ((starting, "Running"), (sessions[0], "Hibernated"), (sessions[1], "Running"), (sessions[2], "Terminated")):
        await lab.admin.becomes(id, phase)
    await agent.leave()
    await lab.admin.agent_is(agent.name, "offline")
    told = len(agent.commands)
    await agent.join()
    await agent.heartbeat()
    await lab.admin.get("/agents")
    assert len(agent.commands) == told, "what is done is not said again"


async def test_commands_that_nobody_was_there_for_are_sent_when_the_agent_returns(build_lab):
    lab = await build_lab()
    agent = await lab.joined()
    session = await lab.admin.running(user="x", platform=agent.platform)
    await agent.leave()
    await lab.admin.agent_is(agent.name, "offline")
    await lab.admin.good("DELETE", f"/sessions/{session['id']}", status=204)
    await restarted(lab)
    assert (await lab.admin.session(session["id"]))["state"] == "terminating"
    await agent.join()
    await agent.commanded("stop_session", session["id"])
    await lab.admin.becomes(session["id"], "Terminated")


async def test_a_session_that_its_agent_lost_meanwhile_is_told_when_it_returns(build_lab):
    lab = await build_lab()
    agent = await lab.joined()
    kept, lost = [(await lab.admin.running(user="x", platform=agent.platform))["id"] for _ in range(2)]
    await restarted(lab)
    await agent.join()
    await agent.say("status", session_id=kept, state="running")
    await agent.say("status", session_id=lost, state="exited")
    await lab.admin.becomes(lost, "Failed")
    assert (await lab.admin.session(kept))["state"] == "running"


async def test_every_acknowledged_session_is_there_after_kill_9_in_the_middle(build_lab):
    lab = await build_lab()
    agent = await lab.joined(capacity={"max_sessions": 1000})
    wish = {"user": "x", "template": "firefox-browser", "platform": agent.platform}
    made: list[str] = []

    async def asks():
        while True:
            answer = await lab.admin.ask("POST", "/sessions", wish)
            made.append(answer.json()["id"])

    asking = [asyncio.create_task(asks()) for _ in range(4)]
    while len(made) < 30:
        await asyncio.sleep(0)
    lab.house.kill()
    await asyncio.gather(*asking, return_exceptions=True)
    lab.house.start()
    rows = {row["id"]: row["state"] for row in await lab.admin.listed("/sessions")}
    assert set(made) <= set(rows) and len(rows) <= len(made) + 4
    await asyncio.wait_for(agent.over.wait(), 30)
    await agent.join()
    for id in rows:
        await lab.admin.becomes(id, "Running")
    starts = [command for command in agent.commands if command.action == "start_session"]
    assert {command.session for command in starts} == set(rows)
    assert len({command.id for command in starts}) == len(rows), "one command for each, however often it was said"
    assert (await lab.admin.agent(agent.name))["capacity"]["current_sessions"] == len(rows)
