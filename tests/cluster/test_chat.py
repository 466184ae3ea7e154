"""Sessions with an agent on several nodes: whoever is in one does not notice on which node he is, nor where it is at home."""

import asyncio
import time
import uuid

import chat
from chat import Person, counts_up, text, types
from test_faults import NOTICED


def everywhere(school, http, name) -> list[Person]:
    """One user, at each node."""
    who, id = name(), str(uuid.uuid4())
    return [Person(node, http, who, id=id) for node in school.nodes]


async def test_a_session_is_one_on_all_nodes(school, http, name):
    at = everywhere(school, http, name)
    for home in range(3):
        session = await at[home].session()
        ears = [await session.of(person).listen() for person in at]
        ears[(home + 1) % 3].say("What is 2 + 2?")
        answers = [await ear.answer() for ear in ears]
        assert answers[0] == answers[1] == answers[2] and "4" in text(answers[0])
        stream = await session.of(at[(home + 2) % 3]).stream("/count 5 10")
        told = await stream.rest()
        assert counts_up(text(told)) == 5
        assert [counts_up(text(await ear.answer())) for ear in ears] == [5, 5, 5]
        for person in at:
            there = session.of(person)
            assert (await there.look())["message_count"] == 4 and len(await there.messages()) == 4
        await session.of(at[(home + 1) % 3]).end()
        for ear in ears:
            await ear.ended("SESSION_ENDED", 1000)


async def test_a_node_that_joins_breaks_no_answer_off(school, http, name):
    school.nodes[2].stop()
    school.is_whole()
    at = everywhere(school, http, name)
    sessions = [await at[0].session() for _ in range(6)]
    ears = [await session.of(at[index % 2]).listen() for index, session in enumerate(sessions)]
    for ear in ears:
        ear.say("/count 300 40")
        await ear.next("message_start")
    school.nodes[2].start()
    late = await sessions[0].of(Person(school.nodes[2], http, at[0].email.split("@")[0], id=at[0].id)).listen()
    for ear in [*ears, late]:
        assert counts_up(text(await ear.answer(60))) == 300
    school.is_whole()
    for ear in ears:
        ear.say("/count 3 1")
        assert types(await ear.answer()) == ["message_start", "content_delta", "message_end"]
    assert text(await late.answer()) == "1 2 3 "
    for session in sessions:
        assert not any("status" in message for message in await session.messages()), "all are whole"


async def test_the_answers_of_a_node_that_is_killed_end_once_for_all(school, http, name):
    at = everywhere(school, http, name)
    sessions = [await at[0].session() for _ in range(8)]
    ears = [await session.of(at[index % 2]).listen() for index, session in enumerate(sessions)]
    for ear in ears:
        ear.say("/count 3000 10")
        await ear.next("message_start")
    school.nodes[2].kill()
    killed_at = time.monotonic()
    told = await asyncio.gather(*(ear.answer(NOTICED + 90) for ear in ears))
    # Whoever is told so hears it when the node is buried; the others hear the answer to its end.
    broken = [frames for frames in told if frames[-2]["type"] == "error"]
    for frames in told:
        assert counts_up(text(frames)) == 3000 or (frames in broken and frames[-2]["code"] == "AGENT_UNAVAILABLE")
    assert time.monotonic() - killed_at < 90 + NOTICED
    states = [(await session.messages())[-1].get("status") for session in sessions]
    assert states == ["incomplete" if frames in broken else None for frames in told]
    for ear in ears:
        ear.say("/count 3 1")
        assert text(await ear.answer()) == "1 2 3 "
    school.nodes[2].start()
    school.is_whole()
