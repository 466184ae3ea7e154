"""Sockets of chat while another process takes over: nobody is closed, and nothing is lost or said twice."""

import asyncio
import json

import chat
from chat import LONG, Session, auth, counts_up, text, types
from model_stub import called, said
from upgrading import fails_later, replaceable, until


def is_open(ear) -> bool:
    """Whether nothing but messages has come."""
    return not any(heard.kind in ("close", "end") for heard in ear.socket.everything)


def everything(ear, kind: str) -> list[dict]:
    """All frames of a type that it has heard since it was opened."""
    said = [json.loads(heard.data) for heard in ear.socket.everything if heard.kind == "text"]
    return [frame for frame in said if frame["type"] == kind]


async def two_ears(session: Session) -> tuple[chat.Ear, chat.Ear]:
    """Sockets of one session, on two shards where there are two."""
    house = session.by.house
    return await session.listen(house.two_shards[0]), await session.listen(house.two_shards[1])


async def test_sockets_without_an_answer_notice_nothing(build, person, stub, upgrade):
    anna = person(build(**chat.settings(stub, chat={"auth_timeout": "120s"})))
    session, other = await anna.session(), await anna.session()
    ears = await two_ears(session)
    silent = await other.listen()
    stranger = await session.knock()
    ears[0].say("2 + 2")
    before = [await ear.answer() for ear in ears]
    assert [text(frames) for frames in before] == ["2 + 2 = 4"] * 2
    await upgrade.well(anna.house)
    for ear in ears:
        await ear.here()
    ears[1].say("3 + 3")
    assert [text(await ear.answer()) for ear in ears] == ["3 + 3 = 6"] * 2
    await session.say("4 + 4")
    assert [text(await ear.answer()) for ear in ears] == ["4 + 4 = 8"] * 2
    silent.say("5 + 5")
    assert text(await silent.answer()) == "5 + 5 = 10"
    stranger.send(auth(anna.token))
    assert (await stranger.json())["type"] == "auth_success"
    stranger.say("6 + 6")
    for ear in (*ears, stranger):
        assert text(await ear.answer()) == "6 + 6 = 12"
        assert is_open(ear)
    assert [message["content"] for message in await session.messages()][::2] == ["2 + 2", "3 + 3", "4 + 4", "6 + 6"]
    await session.end()
    for ear in (*ears, stranger):
        await ear.ended("SESSION_ENDED", 1000)
    anna.house.check_log()


async def test_an_answer_that_is_given_is_broken_off_and_what_waits_behind_it_is_answered(build, person, stub, upgrade):
    anna = person(build(**chat.settings(stub)))
    session = await anna.session()
    speaker, listener = await two_ears(session)
    speaker.say(LONG)
    await speaker.next("content_delta")
    speaker.say("2 + 2")
    speaker.say("3 + 3")
    await speaker.here_among("content_delta")
    await upgrade.well(anna.house)
    for ear in (speaker, listener):
        broken = await ear.answer()
        assert types(broken)[-2:] == ["error", "message_end"] and broken[-2]["code"] == "AGENT_UNAVAILABLE", types(broken)
        assert [text(await ear.answer()) for _ in range(2)] == ["2 + 2 = 4", "3 + 3 = 6"], "in the order in which it was said"
        await ear.here()
        assert is_open(ear)
    kept = await session.messages()
    assert [message["content"] for message in kept if message["role"] == "user"] == [LONG, "2 + 2", "3 + 3"]
    assert [message.get("status") for message in kept if message["role"] == "assistant"] == ["incomplete", None, None]
    heard = "".join(frame["delta"] for frame in everything(listener, "content_delta"))
    first = kept[1]["content"]
    assert heard == first + "2 + 2 = 4" + "3 + 3 = 6" and counts_up(first) > 0, "all of it was heard, and once"


async def test_who_waits_for_leave_hears_the_end_and_goes_on(build, person, stub, upgrade):
    anna = person(build(**chat.settings(stub)))
    session = await anna.session(agent_id="large")
    (ear, _) = await two_ears(session)
    stub.will(called("delete_course", {"course": "art"}), said("good", "bye"))
    ear.say("delete it")
    await ear.next("approval_required")
    await upgrade.well(anna.house)
    assert types(await ear.answer()) == ["error", "message_end"]
    assert await session.approvals() == []
    ear.say("and now")
    assert text(await ear.answer()) == "goodbye" and is_open(ear)


async def test_messages_one_after_the_other_are_each_answered_once_and_in_order(build, person, stub, upgrade):
    """Somebody speaks all the while: each message has one whole answer, but for one that an upgrade broke off."""
    anna = person(build(**chat.settings(stub, chat={"messages_a_minute": 1_000_000})))
    session = await anna.session()
    speaker, listener = await two_ears(session)
    answers, is_over = [], asyncio.Event()

    async def speak():
        while not is_over.is_set():
            speaker.say(f"{len(answers)} + 1")
            answers.append(await speaker.answer())

    speaking = asyncio.create_task(speak())
    for _ in range(2):
        count = len(answers)
        await until(lambda: len(answers) >= count + 5 or speaking.done(), "nobody speaks")  # noqa: B023
        await upgrade.well(anna.house)
    count = len(answers)
    await until(lambda: len(answers) >= count + 5 or speaking.done(), "nobody speaks any more")
    is_over.set()
    await speaking
    broken = [number for number, frames in enumerate(answers) if types(frames)[-2] == "error"]
    assert len(broken) <= 2
    for number, frames in enumerate(answers):
        assert number in broken or text(frames) == f"{number} + 1 = {number + 1}"
    others = [await listener.answer() for _ in answers]
    assert [text(frames) for frames in others] == [text(frames) for frames in answers]
    asked = [message["content"] for message in await session.messages() if message["role"] == "user"]
    assert asked == [f"{number} + 1" for number in range(len(answers))][-len(asked):]
    assert is_open(speaker) and is_open(listener)


async def test_a_program_that_fails_later_gives_sockets_of_chat_back(build, person, stub, upgrade):
    house = build(**chat.settings(stub))
    program = await replaceable(house)
    anna = person(house)
    session = await anna.session()
    speaker, listener = await two_ears(session)
    speaker.say(LONG)
    await speaker.next("content_delta")
    speaker.say("2 + 2")
    await speaker.here_among("content_delta")
    fails_later(program, house)
    pid, code, told = await upgrade(house)
    assert code == 1 and pid and "did not come up" in told, told
    for ear in (speaker, listener):
        assert types(await ear.answer())[-2:] == ["error", "message_end"]
        assert text(await ear.answer()) == "2 + 2 = 4" and is_open(ear)
