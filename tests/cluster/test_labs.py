"""Labs on several nodes: agents, viewers and requests meet, whichever nodes they came to."""

import asyncio
import os

import pytest

from labs import NOBODY, Lab, Person, issued, seen
from quiz import is_true_soon
from school import LEASE, figure, until

MIB = 1 << 20
NOTICED = LEASE + 60  # seconds in which a dead node is noticed, whatever the machine does meanwhile


class Labs:
    """Labs of a school, with an admin whom every node knows."""

    def __init__(self, school, http, name):
        self.school, self.http = school, http
        self.labs = [Lab(node, http, name) for node in school.nodes]

    async def open(self):
        """With the contract's template."""
        await self.answer()
        await self.labs[0].open()
        self.admin = self.labs[0].admin
        return self

    async def answer(self):
        """Every node is one of all, and answers who comes with a token."""
        self.school.is_whole()

        async def answers(lab):
            stranger = {"username": "nobody", "email": "nobody@example.com", "role": "user", "id": NOBODY}
            asked = await Person(lab.house, self.http, issued(lab.house, stranger)).ask("GET", "/sessions")
            return asked.status_code == 401

        for lab in self.labs:
            await is_true_soon(lambda lab=lab: answers(lab), 60)

    def at(self, node: int) -> Person:
        """The admin, who asks this node."""
        return Person(self.school.nodes[node], self.http, self.admin.token, self.admin.user)

    async def watched(self, agent_at: int, viewer_at: int):
        """An agent at one node, a session that runs there, and a viewer of it at another, with the tunnel between them."""
        agent = self.labs[agent_at].agent()
        agent.screen = counting
        await agent.join(2)
        session = await self.at(viewer_at).running(user="x", platform=agent.platform)
        viewer = await self.at(viewer_at).view(session["id"])
        return agent, session["id"], viewer, await agent.tunnel()

    def registry(self) -> int:
        """The node that has the registry, once an agent is online."""
        nodes = self.school.nodes
        return until("a node has the registry", lambda: [at for at in range(3) if figure(nodes[at], "homeroom_labs_agents") > 0])[0]

    async def close(self):
        """Every agent leaves."""
        for lab in self.labs:
            await lab.close()


async def counting(tunnel):
    """A screen that says nothing of itself, and takes what comes."""
    tunnel.gives = True
    await tunnel.ready(credit=MIB)


@pytest.fixture
async def labs(school, http, name):
    """Labs of the school."""
    opened = await Labs(school, http, name).open()
    yield opened
    await opened.close()


async def flows(viewer, tunnel, amount: int):
    """So many bytes go each way at once, and are the same at the other end."""
    down, up = os.urandom(amount), os.urandom(amount)
    before = len(tunnel.received)

    async def asks():
        for start in range(0, amount, 64 << 10):
            viewer.send(up[start:start + (64 << 10)])
            await asyncio.sleep(0)

    got, _, _ = await asyncio.gather(seen(viewer, amount, 120), tunnel.send(down), asks())
    assert got == down
    await tunnel.has(before + amount, 120)
    assert bytes(tunnel.received[before:]) == up


async def test_a_screen_is_seen_from_another_node_and_every_node_answers_alike(labs):
    agent, session, viewer, tunnel = await labs.watched(2, 1)
    await flows(viewer, tunnel, 4 * MIB)
    for node in range(3):
        assert (await labs.at(node).session(session))["status"]["phase"] == "Running"
        assert (await labs.at(node).agent(agent.name))["status"] == "online"
    second = await labs.at(0).view(session)
    assert await viewer.close_code() == 1008
    await flows(second, await agent.tunnel(2), 1 << 10)
    # Whoever signs out at one node is out at all of them when that is answered.
    student = await labs.labs[0].person()
    there = [Person(node, labs.http, student.token, student.user) for node in labs.school.nodes]
    for person in there:
        await person.get("/sessions")
    await there[1].good("POST", "/auth/logout")
    for person in there:
        await person.refused("AUTH_TOKEN_INVALID", "GET", "/sessions")
    await labs.at(1).good("DELETE", f"/sessions/{session}", status=204)
    assert await second.close_code() == 1000
    await agent.commanded("stop_session", session)


async def test_the_registrys_node_dies_and_nobody_is_disconnected(labs):
    nodes = labs.school.nodes
    first = labs.labs[0].agent()
    await first.join(2)
    home = labs.registry()
    agent_at, viewer_at = [node for node in range(3) if node != home]
    agent, session, viewer, tunnel = await labs.watched(agent_at, viewer_at)
    await flows(viewer, tunnel, MIB)
    nodes[home].kill()
    labs.school.is_whole()
    await labs.at(viewer_at).agent_is(agent.name, "online", NOTICED)
    await flows(viewer, tunnel, MIB)
    assert (await labs.at(agent_at).session(session))["status"]["phase"] == "Running"
    assert (await labs.at(viewer_at).move(session, "hibernated"))["state"] == "hibernated"
    assert len([command for command in agent.commands if command.action == "hibernate_session"]) == 1
    assert not agent.over.is_set(), "the agent was connected all the time"
    nodes[home].start()
    await labs.answer()
    assert (await labs.at(home).agent(agent.name))["status"] == "online"


async def test_an_agents_node_dies_and_it_goes_on_at_another(labs):
    first = labs.labs[0].agent()
    await first.join(2)
    home = labs.registry()
    agent_at, viewer_at = (home + 1) % 3, (home + 2) % 3
    agent, session, viewer, _ = await labs.watched(agent_at, viewer_at)
    labs.school.nodes[agent_at].kill()
    assert await viewer.close_code(NOTICED) == 1011
    await labs.at(home).agent_is(agent.name, "offline", NOTICED)
    assert (await labs.at(viewer_at).session(session))["status"]["phase"] == "Running"
    await labs.at(viewer_at).view_refused("AGENT_OFFLINE", session)
    again = labs.labs[viewer_at].agent(agent.name, agent.platform)
    again.screen = counting
    await again.join(2)
    await flows(await labs.at(home).view(session), await again.tunnel(), MIB)
    labs.school.nodes[agent_at].start()
    await labs.answer()
    assert (await labs.at(agent_at).agent(agent.name))["status"] == "online"
