"""Leave to call a tool: asked of all who listen, decided once, the same for all."""

import asyncio
import time

import pytest

from chat import admin, seconds, text, types
from model_stub import Answer, called, said

MAIL = {"to": "customer@example.com", "subject": "Order Update"}


@pytest.fixture
async def session(pupil):
    """One in which a person is asked before every call."""
    return await pupil.session(agent_id="large", require_approval=True)


async def wants_to_mail(session, stub, *after: Answer):
    """Sockets on every shard, a stream and a question for leave; after it the model says this."""
    stub.will(called("send_email", MAIL), *(after or (said("Sent."),)))
    ears = [await session.listen(shard) for shard in session.by.house.two_shards]
    for ear in ears:
        await ear.here()
    source = await session.stream("Write to the customer")
    asked = [await ear.next("approval_required") for ear in ears]
    events = [await source.event(), await source.event()]
    assert [event["type"] for event in events] == ["tool_call", "approval_required"] and events[0]["args"] == MAIL
    (pending,) = await session.approvals()
    assert {frame["approval_id"] for frame in [*asked, events[1]]} == {pending["id"]}
    assert {frame["tool"] for frame in [*asked, events[1]]} == {pending["tool_name"]} == {"send_email"}
    assert (pending["arguments"], pending["status"]) == (MAIL, "pending")
    assert stub.calls == [], "nothing was done yet"
    return ears, source, pending


async def test_an_approved_call_is_made_and_everyone_hears_of_it(session, stub):
    ears, source, pending = await wants_to_mail(session, stub)
    assert (await session.last())["status"] == "streaming"
    decided = await session.decide(pending["id"], "approve", comment="Approved by supervisor")
    assert decided == {
        "id": pending["id"], "status": "approved", "approved_by": session.by.email, "approved_at": decided["approved_at"],
    }
    assert abs(seconds(decided["approved_at"]) - time.time()) < 60
    for frames in [*[await ear.answer() for ear in ears], await source.rest()]:
        assert types(frames)[:2] in (["tool_result", "content_delta"], ["tool_result", "content"])
        assert (frames[0]["result"], text(frames)) == ({"sent": True}, "Sent.")
    assert stub.calls == [("send_email", MAIL)] and await session.approvals() == []
    assert stub.asked[1].messages[-1]["content"] == '{"sent": true}'
    last = await session.last()
    assert last["tool_calls"] == [
        {"tool": "send_email", "args": MAIL, "status": "done", "approval_id": pending["id"], "result": {"sent": True}},
    ]


async def test_a_rejected_call_is_not_made_and_the_model_is_told_why(session, stub):
    ears, source, pending = await wants_to_mail(session, stub, said("Then not."))
    decided = await session.decide(pending["id"], "reject", reason="Invalid recipient email", comment="Please verify")
    assert decided == {
        "id": pending["id"], "status": "rejected", "rejected_by": session.by.email, "rejected_at": decided["rejected_at"],
        "reason": "Invalid recipient email",
    }
    denied = {"error": "TOOL_APPROVAL_DENIED", "message": "Invalid recipient email"}
    for frames in [*[await ear.answer() for ear in ears], await source.rest()]:
        assert (frames[0]["type"], frames[0]["result"], text(frames)) == ("tool_result", denied, "Then not.")
    assert stub.calls == [] and await session.approvals() == []
    told = stub.asked[1].messages[-1]["content"]
    assert told.startswith("denied") and "Invalid recipient email" in told
    assert (await session.last())["tool_calls"][0]["status"] == "rejected"


async def test_nobody_decides_in_time(build, stub, person):
    house = build(models=[stub.model("large")], tools=[stub.tool("send_email", to="string", subject="string")], chat={
        "approval_expiry": "4s",
    })
    session = await person(house).session(require_approval=True)
    ears, source, pending = await wants_to_mail(session, stub)
    for frames in [await ear.answer() for ear in ears]:
        assert types(frames) == ["tool_result", "error", "message_end"]
        assert (frames[0]["result"]["error"], frames[1]["code"]) == ("TOOL_APPROVAL_EXPIRED", "TOOL_APPROVAL_EXPIRED")
    assert (await source.rest())[-1]["code"] == "TOOL_APPROVAL_EXPIRED"
    assert stub.calls == [] and await session.approvals() == [] and len(stub.asked) == 1
    for action in ("approve", "reject"):
        await session.by.refused("APPROVAL_EXPIRED", "POST", session.approval(pending["id"], action))
    last = await session.last()
    assert (last["status"], last["tool_calls"][0]["status"]) == ("incomplete", "expired")
    assert (await session.say("Are you there?"))["content"] == "Sent."


async def test_of_many_deciders_one_is_heard(session, stub):
    ears, source, pending = await wants_to_mail(session, stub)
    paths = [session.approval(pending["id"], action) for action in ("approve", "reject") * 4]
    answers = await asyncio.gather(*(session.by.ask("POST", path, {"reason": "No"}) for path in paths))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    (decided,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert {answer.json()["error"] for answer in answers if answer.status_code == 409} == {"APPROVAL_ALREADY_PROCESSED"}
    results = [frames[0]["result"] for frames in [*[await ear.answer() for ear in ears], await source.rest()]]
    assert all(result == results[0] for result in results)
    was_done = decided["status"] == "approved"
    assert (results[0] == {"sent": True}, len(stub.calls)) == (was_done, int(was_done))


async def test_an_admin_may_decide_and_others_may_not(session, stub, person, agents, http, name):
    _, source, pending = await wants_to_mail(session, stub)
    stranger = person(agents, "boris")
    await stranger.refused("SESSION_NOT_FOUND", "GET", f"{session.path}/approvals")
    await stranger.refused("SESSION_NOT_FOUND", "POST", session.approval(pending["id"], "approve"))
    own = await session.by.session()
    await session.by.refused("APPROVAL_NOT_FOUND", "POST", own.approval(pending["id"], "approve"))
    head = session.of(await admin(agents, http, name("head")))
    assert [one["id"] for one in await head.approvals()] == [pending["id"]]
    answer = await head.by.ask("POST", session.approval(pending["id"], "approve"))
    assert (answer.status_code, answer.json()["approved_by"]) == (200, head.by.email), "the body may be left away"
    assert text(await source.rest()) == "Sent."


async def test_a_tool_that_always_needs_leave(pupil, stub):
    session = await pupil.session(agent_id="large")
    stub.will(called("delete_course", {"course": "Latin"}, words=("Well",)), said(", it is gone."))
    waiting = await session.say("Delete Latin")
    (call,) = waiting["tool_calls"]
    assert (waiting["status"], waiting["content"]) == ("streaming", "Well")
    assert call == {"tool": "delete_course", "args": {"course": "Latin"}, "status": "pending", "approval_id": call["approval_id"]}
    ear = await session.listen()
    assert types(await ear.heard("approval_required")) == ["message_start", "content_delta", "approval_required"], "who comes late"
    await session.decide(call["approval_id"], "approve")
    assert text(await ear.answer()) == ", it is gone."
    assert (await session.last())["content"] == "Well, it is gone."
    stub.will(called("lookup", {"key": "a"}), said("Found."))
    assert (await session.say("Look it up"))["content"] == "Found.", "others need none here"


async def test_several_calls_are_decided_one_by_one(session, stub):
    first, second = ('{"to":"%s@example.com","subject":"A"}' % who for who in "ab")
    calls = (("send_email", first), ("lookup", '{"key":"k"}'), ("send_email", second))
    stub.will(Answer(calls=calls), said("All done."))
    ear = await session.listen()
    await ear.here()
    ear.say("Write to both")
    asked = [await ear.next("approval_required") for _ in calls]
    pending = await session.approvals()
    assert [one["id"] for one in pending] == [frame["approval_id"] for frame in asked]
    assert [one["tool_name"] for one in pending] == ["send_email", "lookup", "send_email"]
    await session.decide(pending[2]["id"], "approve")
    await session.decide(pending[0]["id"], "reject")
    assert [one["id"] for one in await session.approvals()] == [pending[1]["id"]] and len(stub.asked) == 1
    await session.decide(pending[1]["id"], "approve")
    frames = await ear.answer()
    assert types(frames) == ["tool_result", "content_delta", "message_end"] and text(frames) == "All done."
    assert sorted(stub.calls, key=str) == [("lookup", {"key": "k"}), ("send_email", {"to": "b@example.com", "subject": "A"})]
    told = stub.asked[1].messages[-4:]
    assert [one["role"] for one in told] == ["assistant", "tool", "tool", "tool"]
    assert [call["id"] for call in told[0]["tool_calls"]] == [one["tool_call_id"] for one in told[1:]] == ["call_0", "call_1", "call_2"]


@pytest.mark.parametrize("end", ["cancel", "end", "leave"])
async def test_what_waits_for_leave_when_the_answer_ends(build, stub, person, end):
    """By a cancel, by the session's end, or because the one who followed it is gone, which a comment that does not reach him tells:
    nothing is called, and nobody decides any more."""
    tool = stub.tool("send_email", to="string", subject="string")
    house = build(chat={"stream_comment": "100ms"}, models=[stub.model("large")], tools=[tool])
    session = await person(house).session(require_approval=True)
    ears, source, pending = await wants_to_mail(session, stub)
    if end == "cancel":
        ears[0].cancel()
    if end == "end":
        await session.end()
    if end == "leave":
        source.leave()
    else:
        assert (await source.rest())[-1]["type"] == "done"
    for ear in ears:
        frames = await ear.answer()
        assert types(frames)[-1] == "message_end" and "content_delta" not in types(frames)
    assert await session.approvals() == []
    for action in ("approve", "reject"):
        path = session.approval(pending["id"], action)
        await session.by.refused({"APPROVAL_EXPIRED", "APPROVAL_NOT_FOUND"}, "POST", path)
    last = await session.last()
    assert stub.calls == [] and (last["status"], last["tool_calls"][0]["status"]) == ("incomplete", "dropped")


async def test_a_second_message_waits_for_the_decision(session, stub):
    ears, source, pending = await wants_to_mail(session, stub, said("Sent."), said("Good day."))
    ears[0].say("And good day")
    await ears[0].here()
    assert len(await session.messages()) == 2
    await session.decide(pending["id"], "approve")
    assert text(await source.rest()) == "Sent." and text(await ears[0].answer()) == "Sent."
    assert text(await ears[0].answer()) == "Good day."


async def test_the_time_for_a_decision_is_not_the_agents(build, stub, person):
    """Its own time is shorter than what the person takes."""
    tool = stub.tool("send_email", to="string", subject="string")
    agent = {"name": "tutor", "model": "large", "tools": ["send_email"], "time_limit": "3s"}
    house = build(models=[stub.model("large")], tools=[tool], agents=[agent])
    session = await person(house).session(require_approval=True)
    _, source, pending = await wants_to_mail(session, stub)
    await asyncio.sleep(3.5)
    await session.decide(pending["id"], "approve")
    assert text(await source.rest()) == "Sent."
