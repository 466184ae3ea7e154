"""What a publish costs on the bus: a message for each node with listeners, counted on NATS itself."""

from collections import Counter

import tokens
from bus import Bus
from client import sign_in

MARK = "kept apart from all else that is said on the bus"
EACH = 10


async def test_a_publish_is_one_message_for_each_node_with_listeners(school, http, room, name):
    bus = await Bus.open(school.nats.port)
    slots = {name.rsplit(":", 1)[1]: slot for name, slot in school.database.ask("SELECT name, slot FROM node", school.base)}
    slots = [slots[str(node.presence_port)] for node in school.nodes]
    sockets = [await sign_in(node, room, tokens.token(name())) for node in school.nodes[:2] for _ in range(5)]
    for index, socket in enumerate(sockets):
        for _ in sockets[index + 1:]:
            assert (await socket.json())["id"]["operation"] == "entered"
    await bus.spy("homeroom.node.*.*")
    before = school.nats.figures()["in_msgs"]
    body = {"entity_type": "load", "operation": "tick", "payload": {"text": MARK}}
    counts = []
    for node in school.nodes:
        bus.spied.clear()
        for number in range(EACH):
            answer = await http.post(f"{node.internal}/api/v1/classrooms/{room}/events", json=body | {"sequence_id": number})
            assert answer.json()["members"] == len(sockets)
            for socket in sockets:
                assert (await socket.json())["id"]["sequence_id"] == number
        counts.append(Counter(int(subject.split(".")[2]) for subject, payload in bus.spied if MARK.encode() in payload))
    said = school.nats.figures()["in_msgs"] - before
    listening = set(slots[:2])

    def expected(home: int) -> list[Counter]:
        """From the home to each other node with listeners; and to the home, where it is asked on another node."""
        told = {slot: EACH for slot in listening - {home}}
        return [Counter(told | ({home: EACH} if slot != home else {})) for slot in slots]

    assert any(counts == expected(home) for home in slots), (counts, slots)
    # With questions, answers and acknowledgements: not one for each of ten listeners.
    assert said < 3 * EACH * 8 + 200, said
    await bus.close()
