"""One classroom on several nodes: whoever is in it does not notice on which node he is."""

import asyncio

import tokens
from client import open_socket, sign_in
from contract import SUCCESS, agent_event, connect_request, failure
from quiz import is_true_soon
from school import figure


def bearer() -> dict[str, str]:
    """Somebody who may read lists."""
    return {"authorization": f"Bearer {tokens.token('reader')}"}


async def listed(node, http, room) -> dict[str, int]:
    """The room's list at a node: agent id → number."""
    answer = await http.get(f"{node.url}/api/v1/classrooms/{room}/agents", headers=bearer())
    assert answer.status_code == 200, answer.text
    return {agent["agent_id"]: agent["sequence_id"] for agent in answer.json()}


async def test_who_signs_in_elsewhere_closes_the_first_before_he_is_in(school, http, room, name):
    sub, nodes = name(), school.nodes
    watchers = [await sign_in(node, room, tokens.token(name())) for node in nodes]
    for index, watcher in enumerate(watchers):
        for _ in watchers[index + 1:]:
            assert (await watcher.json())["id"]["operation"] == "entered"
    old = await sign_in(nodes[0], room, tokens.token(sub))
    for watcher in watchers:
        assert (await watcher.json())["payload"]["agent_id"] == tokens.agent_id(sub)
    before = await listed(nodes[0], http, room)
    for turn in range(9):
        new = await open_socket(nodes[(turn + 1) % 3])
        told = []
        new.on_text = lambda _, old=old, told=told: told.append(old.has_arrived(failure("replaced")))
        new.send(connect_request(room, tokens.token(sub)))
        assert await new.text() == SUCCESS
        assert told == [True], "connect_success was there before `replaced` was"
        await old.failure(failure("replaced"))
        old = new
    for watcher in watchers:
        await watcher.quiet(0.2)
    for node in nodes:
        assert await listed(node, http, room) == before, "one list, and the session keeps its number"


async def test_who_comes_at_once_everywhere_is_in_once(school, http, room, name):
    sub = name()
    sockets = await asyncio.gather(*(open_socket(node) for node in school.nodes * 4))
    for socket in sockets:
        socket.send(connect_request(room, tokens.token(sub)))

    def is_over(socket) -> bool:
        return any(heard.kind == "end" for heard in socket.everything)

    def is_in(socket) -> bool:
        return any(heard.kind == "text" and heard.data.decode() == SUCCESS for heard in socket.everything)

    async def one_is_left():
        return [is_in(socket) for socket in sockets if not is_over(socket)] == [True]

    await is_true_soon(one_is_left, 60)
    for node in school.nodes:
        assert list(await listed(node, http, room)) == [tokens.agent_id(sub)]


async def test_entered_and_left_are_seen_once_and_lists_and_counters_are_one(school, http, room, name):
    nodes, subs = school.nodes, [name() for _ in range(3)]
    first = await sign_in(nodes[0], room, tokens.token(subs[0]))
    second = await sign_in(nodes[1], room, tokens.token(subs[1]))
    third = await sign_in(nodes[2], room, tokens.token(subs[2]))
    numbers = await listed(nodes[0], http, room)
    assert sorted(numbers) == sorted(map(tokens.agent_id, subs))
    assert await first.text() == agent_event("entered", numbers[tokens.agent_id(subs[1])], tokens.agent_id(subs[1]))
    for watcher in (first, second):
        assert await watcher.text() == agent_event("entered", numbers[tokens.agent_id(subs[2])], tokens.agent_id(subs[2]))
    for node in nodes:
        assert await listed(node, http, room) == numbers
        answer = await http.post(f"{node.url}/api/v1/counters/agent", json={"classroom_ids": [str(room)]}, headers=bearer())
        assert answer.json() == {str(room): 3}
    await third.leave()
    for watcher in (first, second):
        assert await watcher.text() == agent_event("left", numbers[tokens.agent_id(subs[2])], tokens.agent_id(subs[2]))
        await watcher.quiet(0.2)


async def test_what_is_published_anywhere_is_heard_everywhere_for_a_message_a_node(school, http, room, name):
    sockets = [await sign_in(node, room, tokens.token(name())) for node in school.nodes for _ in range(4)]
    for index, socket in enumerate(sockets):
        for _ in sockets[index + 1:]:
            assert (await socket.json())["id"]["operation"] == "entered"
    body = {"entity_type": "ban", "operation": "created", "payload": {"a": 1}}

    def letters() -> float:
        return sum(figure(node, "homeroom_cluster_letters_received_total") for node in school.nodes)

    for round, node in enumerate(school.nodes):
        answer = await http.post(f"{node.internal}/api/v1/classrooms/{room}/events", json=body | {"sequence_id": round})
        assert answer.json()["members"] == len(sockets)
        for socket in sockets:
            assert (await socket.json())["id"] == {"entity_type": "ban", "operation": "created", "sequence_id": round}
    before = letters()
    for round in range(10):
        answer = await http.post(f"{school.nodes[0].internal}/api/v1/classrooms/{room}/events", json=body | {"sequence_id": 100 + round})
        assert answer.status_code == 200
    for socket in sockets:
        assert [(await socket.json())["id"]["sequence_id"] for _ in range(10)] == list(range(100, 110))
    # Of each publish there goes one letter to each shard with members on other nodes (two or three), and a question and its answer besides.
    assert letters() - before <= 10 * (3 + 2)
