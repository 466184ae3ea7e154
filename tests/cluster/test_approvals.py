"""Leave to call a tool, asked on one node and given at another while one dies: the call is made once or not at all, and an answer holds."""

import asyncio

import pytest

from chat import Ear, Session, types
from test_chat import everywhere
from test_faults import NOTICED

SESSIONS = 10  # as many as a user may make in a minute: each node is home to some of them
# What a decision is answered with whose session's home is gone, or which nobody can vouch for (src/http/chat/README.md, "Codes").
# Of the first a record says so, and nothing is done; the others may have been done.
EXPIRED, UNSURE = "APPROVAL_EXPIRED", {"APPROVAL_ALREADY_PROCESSED", "SESSION_UPDATE_FAILED", "SERVICE_UNAVAILABLE", "AGENT_UNAVAILABLE"}


class Case:
    """A session in which leave is asked for."""

    def __init__(self, session: Session, to: str):
        self.session, self.to = session, to
        self.ears: list[Ear] = []
        self.pending = ""

    async def asks(self, speaker: Session, listeners: list[Session]):
        """A call is asked for by one at the first node; the others hear of it."""
        self.ears = [await own.listen() for own in listeners]
        mouth = await speaker.listen()
        mouth.say(f'send_email {{"to": "{self.to}"}}')
        asked = [await ear.next("approval_required") for ear in [mouth, *self.ears]]
        (pending,) = await listeners[0].approvals()
        assert {frame["approval_id"] for frame in asked} == {pending["id"]}
        self.pending = pending["id"]

    async def decide(self, at: Session):
        """What the decision is answered with: nothing, or the code of a refusal."""
        answer = await at.by.ask("POST", at.approval(self.pending, "approve"), {}, timeout=NOTICED + 60)
        if answer.status_code == 200:
            assert answer.json()["status"] == "approved"
            return None
        return answer.json()["error"]


async def cases(at, stub) -> list[Case]:
    """Sessions of which each node is home to some, all asked for at the first node and heard at the others."""
    made = [Case(await at[0].session(require_approval=True), f"{number}@example.com") for number in range(SESSIONS)]
    for case in made:
        await case.asks(case.session, [case.session.of(at[1]), case.session.of(at[2])])
    assert stub.calls == [], "nothing is done without leave"
    return made


def calls(stub, case: Case) -> int:
    """How often the tool was called for this one."""
    return [arguments["to"] for _, arguments in stub.calls].count(case.to)


def decided(school, case: Case) -> str:
    """What the records say of a question for leave."""
    hexadecimal = case.pending.removeprefix("appr_")
    ((decision,),) = school.database.ask(f"SELECT decision FROM chat_approval WHERE approval_id = '{hexadecimal}'", school.base)
    return decision


async def test_leave_that_is_asked_for_on_one_node_is_given_at_another(school, http, name, stub):
    at = everywhere(school, http, name)
    made = await cases(at, stub)
    for number, case in enumerate(made):
        by = case.session.of(at[1 + number % 2])
        assert await case.decide(by) is None
        told = [await ear.answer() for ear in case.ears]
        assert told[0] == told[1] and types(told[0]) == ["tool_result", "content_delta", "message_end"]
        assert calls(stub, case) == 1
        # A second decision, at any node, changes nothing.
        for person in at:
            assert await case.decide(case.session.of(person)) == "APPROVAL_ALREADY_PROCESSED"
        (call,) = (await by.last())["tool_calls"]
        assert (call["status"], call["approval_id"], call["result"]) == ("done", case.pending, {"sent": True})
    assert len(stub.calls) == SESSIONS


@pytest.mark.parametrize("approved", ["before the death", "at the death", "after the death"])
async def test_leave_that_is_given_while_a_node_dies_is_kept_or_refused(school, http, name, stub, approved):
    at = everywhere(school, http, name)
    made = await cases(at, stub)
    deciding = []

    def decide():
        deciding.extend(asyncio.create_task(case.decide(case.session.of(at[1 + number % 2]))) for number, case in enumerate(made))

    if approved == "after the death":
        school.nodes[0].kill()
        decide()
    else:
        decide()
        if approved == "before the death":
            # As many as are at home on nodes that live, and some of the others, are answered by then.
            await asyncio.wait(deciding, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(0)
        school.nodes[0].kill()
    told = await asyncio.gather(*deciding)
    assert {code for code in told if code} <= {EXPIRED, *UNSURE}, told
    ends = [await asyncio.gather(*(ear.answer(NOTICED + 90) for ear in case.ears)) for case in made]
    kinds = {"whole": 0, "broken": 0}
    for case, code, (one, other) in zip(made, told, ends):
        assert one[-2:] == other[-2:], "the end is the same for all who hear it"
        broken, last = one[-2]["type"] == "error", await case.session.of(at[1]).last()
        kinds["broken" if broken else "whole"] += 1
        kept, called = decided(school, case), calls(stub, case)
        assert last.get("status") == ("incomplete" if broken else None)
        assert kept == "approved" if code is None else kept == "expired" if code == EXPIRED else kept in ("approved", "expired")
        assert called <= (kept == "approved"), "once at most, and not without leave"
        if broken:
            assert one[-2]["code"] == "AGENT_UNAVAILABLE"
            if approved == "after the death":
                # Nobody can approve what nobody asks for any more; who asks while the node is not buried yet may be told so of the wait.
                assert code in (EXPIRED, "SESSION_UPDATE_FAILED") and kept == "expired"
        else:
            (call,) = last["tool_calls"]
            assert (code, called, call["status"], call["result"]) == (None, 1, "done", {"sent": True})
        assert await case.session.of(at[1]).approvals() == [], "nothing waits that nobody can decide"
        assert await case.decide(case.session.of(at[2])) == ("APPROVAL_ALREADY_PROCESSED" if kept == "approved" else EXPIRED)
    assert kinds["whole"], "some are at home on nodes that live"
    if approved == "after the death":
        assert kinds["broken"], "and some on the one that died"
    school.nodes[0].start()
    school.is_whole()
    for case in made:
        case.ears[0].say("/count 3 1")
        assert types(await case.ears[0].answer()) == ["message_start", "content_delta", "message_end"]
        assert calls(stub, case) <= 1
