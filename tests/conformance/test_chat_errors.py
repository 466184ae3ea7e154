"""Every code of the contract's tables where it belongs: its status, its flat body, and nothing of what was sent."""

import asyncio
import json

import httpx
import pytest

from chat import NO_APPROVAL, NO_MESSAGE, NO_SESSION, PASSWORD, Person, login, signed, user
from model_stub import called, cut, failing, hanging, malformed, said

ROUTES = [
    ("POST", "/sessions/"), ("GET", "/sessions/"), ("GET", ""), ("POST", "/end"), ("POST", "/chat"), ("POST", "/chat/stream"),
    ("GET", "/messages"), ("GET", "/approvals"), ("POST", f"/approvals/{NO_APPROVAL}/approve"),
    ("POST", f"/approvals/{NO_APPROVAL}/reject"),
]


def whole(path: str, session: str) -> str:
    """The path of a route of a session."""
    return path if path.startswith("/sessions") else f"/sessions/{session}{path}"


async def raw(person: Person, method: str, path: str, content: bytes) -> httpx.Response:
    """A body as it is."""
    return await person.ask(method, path, content=content, headers={"content-type": "application/json"})


# --- who asks


async def test_without_a_good_token_every_route_is_closed(house, http, anna):
    session = await anna.session()
    bad = {
        "none": Person(house, http), "rubbish": Person(house, http, token="rubbish"),
        "expired": Person(house, http, token=signed(house, anna.id, anna.email, lifetime_s=-60)),
        "another's signature": Person(house, http, token=signed(house, anna.id, anna.email, secret=b"x" * 64)),
        "another issuer": Person(house, http, token=signed(house, anna.id, anna.email, iss="somebody")),
        "no role": Person(house, http, token=signed(house, anna.id, anna.email, role="teacher")),
        "no subject": Person(house, http, token=signed(house, None, anna.email)),
    }
    for who in bad.values():
        for method, path in ROUTES:
            said = await who.refused("UNAUTHORIZED", method, whole(path, session.id), {} if method == "POST" else None)
            assert said["message"] in ("the request has no token", "the token is not valid")


async def test_logins(agents, http, name):
    who = await user(agents, http, name("anna"))
    wrong = [await login(agents, *pair) for pair in ((who["email"], PASSWORD + "x"), (name("nobody") + "@example.com", PASSWORD))]
    for answer in wrong:
        assert (answer.status_code, answer.json()["error"]) == (401, "INVALID_CREDENTIALS")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert wrong[0].text == wrong[1].text, "which of the two was wrong is not told"
    for body in ((None, PASSWORD), (who["email"], None), (7, PASSWORD), (who["email"], 7)):
        answer = await login(agents, *body)
        assert (answer.status_code, answer.json()["error"]) == (422, "VALIDATION_ERROR")
    path = f"{agents.internal}/api/v1/labs/users/{who['username']}"
    (await http.patch(path, json={"active": False})).raise_for_status()
    answer = await login(agents, who["email"], PASSWORD)
    assert (answer.status_code, answer.json()["error"]) == (403, "FORBIDDEN")


async def test_what_is_anothers_is_not_there(agents, person, pupil):
    session = await pupil.session(require_approval=True)
    waiting = await session.say("calculator 6*7")
    approval = waiting["tool_calls"][0]["approval_id"]
    foreign = session.of(person(agents, "boris"))
    for method, path in ROUTES[2:8]:
        body = {"content": "Hello"} if method == "POST" else None
        await foreign.by.refused("SESSION_NOT_FOUND", method, whole(path, session.id), body)
    for action in ("approve", "reject"):
        await foreign.by.refused("SESSION_NOT_FOUND", "POST", session.approval(approval, action))
    assert (await foreign.by.get("/sessions/"))["total"] == 0
    assert [pending["id"] for pending in await session.approvals()] == [approval]


# --- sessions


@pytest.mark.parametrize("id", [NO_SESSION, "sess_1", "x", NO_SESSION.upper(), "0" * 32, "%F0"])
async def test_sessions_that_are_not_there(anna, id):
    for method, path in ROUTES[2:]:
        await anna.refused("SESSION_NOT_FOUND", method, f"/sessions/{id}{path}", {"content": "Hello"} if method == "POST" else None)


async def test_an_ended_session_takes_nothing(anna):
    session = await anna.session(require_approval=True)
    approval = (await session.say("calculator 6*7"))["tool_calls"][0]["approval_id"]
    await session.end()
    for route in ("chat", "chat/stream"):
        await session.refused("SESSION_ENDED", route=route)
    await anna.refused("SESSION_ENDED", "POST", f"{session.path}/end")
    await anna.refused({"APPROVAL_EXPIRED", "APPROVAL_NOT_FOUND"}, "POST", session.approval(approval, "approve"))


async def test_a_session_whose_agent_is_configured_no_more(build, stub, person):
    agent = {"name": "guest", "model": "builtin"}
    house = build(chat={"default_agent": "tutor"}, agents=[{"name": "tutor", "model": "builtin"}, agent])
    anna = person(house)
    session = await anna.session(agent_id="guest")
    await session.say("2 + 2")
    await asyncio.to_thread(house.stop)
    house.config.write_text(house.config.read_text().replace('"guest"', '"other"'))
    await asyncio.to_thread(house.start)
    assert (await session.look())["status"] == "suspended"
    for route in ("chat", "chat/stream"):
        await session.refused("SESSION_SUSPENDED", route=route)
    ear = await session.listen()
    ear.say("2 + 2")
    await ear.error("SESSION_SUSPENDED")
    for status, total in (("suspended", 1), ("active", 0), ("ended", 0)):
        assert (await anna.get("/sessions/", status=status))["total"] == total
    assert (await session.end())["status"] == "ended"


async def test_sessions_that_cannot_be_made(pupil, person, agents):
    await person(agents).refused("AGENT_NOT_FOUND", "POST", "/sessions/", {"agent_id": "support-agent-v2"})
    for body in (
        {"title": 7}, {"title": "x" * 201}, {"agent_id": 7}, {"agent_id": "x" * 129}, {"metadata": []}, {"metadata": "x"},
        {"metadata": {"x": "y" * 65536}}, {"require_approval": "yes"}, [], "x",
    ):
        await pupil.refused("VALIDATION_ERROR", "POST", "/sessions/", body)
    assert (await pupil.get("/sessions/"))["total"] == 0


# --- messages


@pytest.mark.parametrize("route", ["chat", "chat/stream"])
async def test_messages_that_are_none(house, build, person, anna, route):
    session = await anna.session()
    for content in ("", " ", "\n\t\u2003"):
        await session.refused("MESSAGE_EMPTY", content, route)
    await session.refused("MESSAGE_TOO_LONG", "я" * 100_001, route)
    for body in (b"rubbish", b"", b'{"content": "x"', b'{"content": "\xff"}'):
        answer = await raw(anna, "POST", f"{session.path}/{route}", body)
        assert (answer.status_code, answer.json()["error"]) == (400, "MESSAGE_INVALID")
    for body in ({}, {"content": None}, {"content": 7}, [], "x", {"content": "x", "stream": "yes"}, {"content": "x", "attachments": {}}):
        said = await anna.refused("VALIDATION_ERROR", "POST", f"{session.path}/{route}", body)
        assert said["message"].startswith(("content", "stream", "attachments", "the body"))
    assert await session.messages() == []


async def test_a_message_of_the_greatest_length_is_taken(anna):
    session = await anna.session()
    await session.say("ю" * 100_000)
    assert len((await session.messages())[0]["content"]) == 100_000


async def test_a_body_that_is_too_large(anna):
    session = await anna.session()
    for path, size in ((f"{session.path}/chat", 8 << 20), ("/sessions/", 2 << 20)):
        await anna.refused("PAYLOAD_TOO_LARGE", "POST", path, {"content": "x" * size})
    assert await session.messages() == []


async def test_cursors_and_bounds_that_are_none(anna, boris):
    session, other = await anna.session(), await boris.session()
    foreign = (await other.say("2 + 2"))["message_id"]
    path = f"{session.path}/messages"
    for cursor in (NO_MESSAGE, "x", foreign, "msg_1", session.id):
        for side in ("before", "after"):
            await anna.refused("MESSAGE_INVALID", "GET", path, params={side: cursor})
    await anna.refused("VALIDATION_ERROR", "GET", path, params={"before": NO_MESSAGE, "after": NO_MESSAGE})
    for limit in ("0", "201", "-1", "x", "1.5", "99999999999"):
        await anna.refused("VALIDATION_ERROR", "GET", path, params={"limit": limit})
    for params in ({"page": "0"}, {"page": "x"}, {"page_size": "0"}, {"page_size": "101"}, {"status": "x"}, {"page": "1.0"}):
        said = await anna.refused("VALIDATION_ERROR", "GET", "/sessions/", params=params)
        assert said["message"].startswith(next(iter(params)))


# --- the agent


FAULTS = {
    "AGENT_UNAVAILABLE": ("once", failing(503)), "AGENT_ERROR": ("once", failing(400)), "AGENT_TIMEOUT": ("hasty", hanging()),
}


@pytest.mark.parametrize("route", ["chat", "chat/stream"])
@pytest.mark.parametrize("code", FAULTS)
async def test_an_agent_that_fails_before_its_first_word(pupil, stub, code, route):
    agent, fault = FAULTS[code]
    session = await pupil.session(agent_id=agent)
    stub.will(fault)
    told = await session.refused(code, route=route)
    assert "endpoint" not in told["message"], "what the endpoint said is not passed on"
    first, second = await session.messages()
    assert (first["content"], second["content"], second["status"]) == ("Hello", "", "incomplete")
    stub.will(said("Again"))
    assert (await session.say("And now?"))["content"] == "Again"


@pytest.mark.parametrize("fault", [cut, malformed])
async def test_an_agent_that_breaks_off_in_the_middle(pupil, stub, fault):
    session = await pupil.session(agent_id="once")
    stub.will(fault("Hel", "lo"))
    await session.refused("AGENT_ERROR")
    last = await session.last()
    assert (last["content"], last["status"]) == ("Hello", "incomplete")


# --- tools


async def test_tools_that_fail_are_told_to_the_model(pupil, stub):
    """No request ends with these codes: the model hears of them and goes on."""
    stub.tools["lookup"].status = 500
    for tool, arguments, code in (
        ("nothing", {}, "TOOL_NOT_FOUND"), ("lookup", {"key": "a"}, "TOOL_EXEC_FAILED"), ("lookup", {"key": 7}, "TOOL_EXEC_FAILED"),
        ("calculator", {"expression": "1/0"}, "TOOL_EXEC_FAILED"),
    ):
        session = await pupil.session(agent_id="large")
        stub.will(called(tool, arguments), said("I could not."))
        answer = await session.say("Try it")
        (call,) = answer["tool_calls"]
        assert (answer["content"], call["tool"], call["status"], call["result"]["error"]) == ("I could not.", tool, "failed", code)
        told = stub.asked[-1].messages[-1]
        assert (told["role"], told["content"].split(":")[0]) == ("tool", "error")


async def test_a_tool_that_takes_too_long(pupil, stub):
    session = await pupil.session(agent_id="large")
    stub.tools["lookup"].wait_s = 30
    stub.will(called("lookup", {"key": "a"}), said("It did not answer."))
    ear = await session.listen()
    ear.say("Look it up")
    result = await ear.next("tool_result")
    assert result["result"]["error"] == "TOOL_TIMEOUT"
    assert (await ear.answer())[0]["delta"] == "It did not answer."


# --- approvals


async def test_decisions_that_are_none(pupil, person, agents):
    session = await pupil.session(require_approval=True)
    id = (await session.say("calculator 6*7"))["tool_calls"][0]["approval_id"]
    other = await pupil.session(require_approval=True)
    await pupil.refused("APPROVAL_INVALID", "POST", session.approval(id, "postpone"))
    for wrong in (NO_APPROVAL, "appr_1", "x", id.upper()):
        await pupil.refused("APPROVAL_NOT_FOUND", "POST", session.approval(wrong, "approve"))
    await pupil.refused("APPROVAL_NOT_FOUND", "POST", other.approval(id, "approve"))
    for body in ({"comment": 7}, {"reason": []}, {"comment": "x" * 2001}, []):
        await pupil.refused("VALIDATION_ERROR", "POST", session.approval(id, "reject"), body)
    answer = await raw(pupil, "POST", session.approval(id, "approve"), b"{")
    assert answer.status_code == 400
    denied = await session.listen()
    await session.decide(id, "reject", reason="No arithmetic")
    result = await denied.next("tool_result")
    assert result["result"] == {"error": "TOOL_APPROVAL_DENIED", "message": "No arithmetic"}


async def test_an_answer_that_waits_for_leave_is_no_error(anna):
    """`TOOL_APPROVAL_REQUIRED` of the contract's table is not used: the answer comes as far as it is, and says what it waits for."""
    session = await anna.session(require_approval=True)
    answer = await anna.ask("POST", f"{session.path}/chat", {"content": "calculator 6*7"})
    assert answer.status_code == 200 and "TOOL_APPROVAL_REQUIRED" not in answer.text
    assert answer.json()["tool_calls"][0]["status"] == "pending"


async def test_an_approval_that_waited_too_long(build, person):
    session = await person(build(chat={"approval_expiry": "3s"})).session(require_approval=True)
    by = session.by
    waiting = (await session.say("calculator 6*7"))["tool_calls"][0]["approval_id"]
    ear = await session.listen()
    error = await ear.next("error")
    assert error["code"] == "TOOL_APPROVAL_EXPIRED"
    for action in ("approve", "reject"):
        await by.refused("APPROVAL_EXPIRED", "POST", session.approval(waiting, action))
    source = await session.stream("calculator 6*7")
    told = await source.rest()
    assert told[-1] == {"type": "error", "code": "TOOL_APPROVAL_EXPIRED", "message": told[-1]["message"]}


# --- routes


async def test_routes_and_methods_that_are_not_there(anna):
    session = await anna.session()
    for path in ("/sessions/x/y", f"{session.path}/nothing", "/auth/nothing", f"{session.path}/", f"{session.path}/chat/"):
        await anna.refused({"NOT_FOUND"}, "GET", path)
    for method, path, allow in (
        ("GET", f"{session.path}/chat/stream", "POST"), ("GET", f"{session.path}/chat", "POST"), ("DELETE", session.path, "GET"),
        ("PUT", "/sessions/", "GET"), ("GET", "/auth/login", "POST"),
    ):
        answer = await anna.ask(method, path)
        assert (answer.status_code, answer.json()["error"]) == (405, "METHOD_NOT_ALLOWED"), (method, path)
        assert allow in answer.headers["allow"]


async def test_nothing_that_was_sent_is_said_back(anna):
    session = await anna.session()
    secret = "xyzzy-plugh"
    for method, path, body in (
        ("POST", f"{session.path}/chat", {"content": 7, secret: secret}), ("GET", f"/sessions/{secret}", None),
        ("GET", f"/sessions/?status={secret}", None), ("POST", "/sessions/", {"metadata": secret}),
        ("POST", f"{session.path}/chat", {"content": "x", "attachments": [{"name": secret}]}), ("GET", f"{session.path}/{secret}", None),
        ("POST", "/auth/login", {"email": secret, "password": secret}),
    ):
        answer = await anna.ask(method, path, body)
        assert answer.status_code >= 400 and secret not in answer.text and secret not in json.dumps(dict(answer.headers))
