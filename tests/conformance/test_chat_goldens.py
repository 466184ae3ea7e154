"""Every JSON of the contract of chat, made to happen: what is sent is the example, and what the server says is the example but for ids,
times and tokens. The model says what the contract's model says."""

import asyncio
import re
from pathlib import Path

import pytest

from chat import CODES, ID, PASSWORD, Person, auth, login, seconds, types, user
from chat_examples import BLOCKS, JSON, events, example, like, table
from model_stub import called, hanging, said

EMAIL = "user@example.com"  # the contract's own


@pytest.fixture
def customer(agents, http):
    """The contract's user."""
    return Person(agents, http, EMAIL.split("@")[0])


async def support(by: Person, **body):
    """The contract's session, with an agent whose model says what it is told to say."""
    return await by.session(**(example("Create Session", "Example Request") | {"agent_id": "large"} | body))


def test_every_json_of_the_contract_is_in_a_test():
    """Each is named by its heading and its label in one of these files."""
    here = Path(__file__).parent
    tests = re.sub(r"\s+", " ", "".join(path.read_text() for path in here.glob("test_chat*.py")))
    assert len(JSON) == len([block for block in BLOCKS if block[2] == "json"]) == 16
    assert [key for key in JSON if f'"{key[0]}", "{key[1]}"' not in tests] == []


def test_every_code_of_the_contract_has_its_status_and_is_in_a_test():
    """`TOOL_APPROVAL_REQUIRED` is not used: an answer that waits is 200."""
    here = Path(__file__).parent
    tests = "".join(path.read_text() for path in here.glob("test_chat*.py"))
    for kind in ("Session", "Message", "Agent", "Tool", "Approval"):
        for code, status, _ in table(f"{kind} Error Codes"):
            assert CODES[code.strip("`")] == int(status)
            assert f'"{code.strip("`")}"' in tests, code
    assert all(f'"{code.strip("`")}"' in tests for code, _ in table("WebSocket Error Codes"))


async def test_a_login(agents, http, name):
    who = await user(agents, http, name("user"))
    body = {"email": EMAIL, "password": PASSWORD}
    (sent,) = [text for heading, _, _, text in BLOCKS if heading == "Obtaining a Token" and "POST" in text]
    assert all(f'"{name}": "{value}"' in sent for name, value in body.items())
    answer = await login(agents, who["email"], PASSWORD)
    like(answer.json(), "Obtaining a Token", "Response")


async def test_a_session(agents, customer):
    made = await customer.session(**example("Create Session", "Example Request"))
    like(made.made, "Create Session", "Example Response")
    session = await customer.session(**(example("Create Session", "Example Request") | {"metadata": {}}))
    await asyncio.gather(session.say("1 + 1"), session.say("2 + 2"))
    like(await session.look(), "Get Session", "Response", message_count=4)
    listed = await customer.get("/sessions/")
    assert listed.pop("has_more") is False, "the contract's own program reads it from this list"
    over = {"total": listed["total"], "data": example("List Sessions", "Response")["data"] * listed["total"]}
    like(listed, "List Sessions", "Response", **over)
    like(await session.end(), "End Session", "Response")


async def test_an_answer(customer, stub):
    session = await support(customer)
    sample = example("Send Message", "Example Response (Non-streaming)")
    words, usage = sample["content"], sample["usage"]
    stub.will(said(words[:20], words[20:], usage=(usage["prompt_tokens"], usage["completion_tokens"])))
    answer = await customer.good("POST", f"{session.path}/chat", example("Send Message", "Example Request"))
    like(answer, "Send Message", "Example Response (Non-streaming)")
    assert answer["session_id"] == session.id and stub.asked[0].messages[-1]["content"] == "What is the status of order #12345?"


async def test_a_stream(customer, stub):
    """Beyond the contract's events there is what came of the tool, and `done` says whose usage it is."""
    session = await support(customer)
    sample = events()
    words = [event["delta"] for event in sample if event["type"] == "content"]
    stub.will(called("search", {"query": "knight"}, words=tuple(words), usage=(50, 40)), said(usage=(40, 20)))
    source = await session.stream(**example("Stream Chat Response", "Request Body"))
    heard = await source.rest()
    result = heard.pop(4)
    assert set(result) == {"type", "tool", "result"} and (result["type"], result["tool"]) == ("tool_result", "search")
    assert set(heard[-1].pop("usage")) - {"prompt_tokens", "completion_tokens"} == {"total_tokens"}
    assert heard.pop()["message_id"] == (await session.last())["id"]
    expected = [event | ({"args": {"query": "knight"}} if event["type"] == "tool_call" else {}) for event in sample[:-1]]
    assert [list(event.items()) for event in heard] == [list(event.items()) for event in expected]
    assert source.parser.events[-1].data.endswith('"total_tokens":150}}')


async def test_what_was_said(customer, stub):
    session = await support(customer)
    sample = example("Get Messages", "Response")
    stub.will(said(sample["data"][1]["content"]))
    await session.say(sample["data"][0]["content"])
    like(await customer.get(f"{session.path}/messages"), "Get Messages", "Response")


async def test_an_approval(customer, stub):
    session = await support(customer, require_approval=True)
    sample = example("List Pending Approvals", "Response")["data"][0]

    async def asked() -> str:
        stub.will(called(sample["tool_name"], sample["arguments"]))
        await session.say("Tell the customer")
        listed = await customer.get(f"{session.path}/approvals")
        like(listed, "List Pending Approvals", "Response")
        pending = listed["data"][0]
        wait = seconds(sample["expires_at"]) - seconds(sample["created_at"])
        assert seconds(pending["expires_at"]) - seconds(pending["created_at"]) == wait
        return pending["id"]

    ear, first = await session.listen(), await asked()
    approved = await session.decide(first, "approve", **example("Approve Tool Call", "Request Body"))
    like(approved, "Approve Tool Call", "Response")
    await ear.answer()
    second = await asked()
    rejected = await session.decide(second, "reject", **example("Reject Tool Call", "Request Body"))
    like(rejected, "Reject Tool Call", "Response")
    assert (approved["id"], rejected["id"]) == (first, second)


async def test_too_many_requests(house, person):
    owner = person(house)
    answers = [await owner.ask("POST", "/sessions/", {}) for _ in range(11)]
    like(answers[-1].json(), "Rate Limits", "", retry_after=int)


# --- the socket


async def test_everything_that_a_socket_says_and_hears(customer, stub):
    """Each message type of the two tables, with the payload that it has there and nothing else."""
    session = await support(customer, require_approval=True)
    stub.will(said("Hello"), called("lookup", {"key": "a"}), said("Done"), hanging("Wait"))
    ear = await session.knock()
    ear.send('{"type":"ping"}', auth(customer.token), '{"type":"message","content":"Hello, how can you help me?"}')
    frames = await ear.answer()
    ear.say("look it up", attachments=[])
    frames += await ear.heard("approval_required")
    await session.decide(frames[-1]["approval_id"], "approve")
    frames += await ear.answer()
    ear.say("and now?")
    begun = await ear.heard("content_delta")
    ear.cancel(operation_id=begun[0]["message_id"])
    frames += begun + await ear.answer()
    ear.send('{"type":"rubbish"}')
    frames.append(await ear.json())

    payloads = {kind.strip("`"): re.findall(r"(\w+): (\w+)", payload) for kind, _, payload in table("Server → Client")}
    assert {frame["type"] for frame in frames} == set(payloads), "every type of the table was heard"
    kinds = {"string": str, "object": dict}
    for frame in frames:
        expected = payloads[frame["type"]]
        assert list(frame) == ["type", *(name for name, _ in expected)], frame
        assert all(isinstance(frame[name], kinds.get(kind, object)) for name, kind in expected), frame
    assert all(re.fullmatch("msg" + ID, frame["message_id"]) for frame in frames if frame["type"] == "message_start")
    sent = {kind.strip("`") for kind, _, _ in table("Client → Server")}
    assert sent == {"auth", "message", "ping", "cancel"}
    assert types(frames)[:5] == ["pong", "auth_success", "message_start", "content_delta", "message_end"]
