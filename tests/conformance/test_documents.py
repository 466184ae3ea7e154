"""What the server says of its own routes and sockets: served, valid, as the contracts have it, and true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import openapi_spec_validator
import pytest

import chat
import documents
import labs
import quiz
import tasks
import tasks_examples
import tokens
from house import House, toml

# Schemathesis tries so many requests with each operation, and with time every boundary of what they take.
EXAMPLES, PHASES = (40, "examples,coverage,fuzzing") if os.environ.get("TESTS_LONG") else (3, "fuzzing")
# What it may take on a machine that has other things to do.
PATIENCE_S = 3600 if os.environ.get("TESTS_LONG") else 600
MANY = 1_000_000


@pytest.fixture(scope="module")
def served(tmp_path_factory, permissions):
    """A server of this file's own, where no limit is in the way of many requests."""
    limits = ("logins", "creations", "messages", "streams", "looks", "lists")
    settings = {"chat": {f"{what}_a_minute": MANY for what in limits}, "labs": {"agent_requests_a_minute": MANY}}
    house = House(tmp_path_factory.mktemp("documents"), 1, permissions.url, settings)
    house.start()
    yield house
    house.stop()


def listeners(house) -> dict[str, str]:
    """Where each listener is."""
    return {"presence": house.url, "quiz": house.quiz, "chat": house.chat, "internal": house.internal}


@pytest.fixture(scope="module")
def told(served) -> dict[str, tuple[documents.Routes, documents.Sockets]]:
    """Both documents of every listener."""
    with httpx.Client(trust_env=False, timeout=30) as http:
        both = {name: [http.get(f"{at}/{kind}.json") for kind in ("openapi", "asyncapi")] for name, at in listeners(served).items()}
    for answers in both.values():
        assert [(answer.status_code, answer.headers["content-type"]) for answer in answers] == [(200, "application/json")] * 2
    return {name: (documents.Routes(routes.json()), documents.Sockets(sockets.json())) for name, (routes, sockets) in both.items()}


def test_they_are_sent_once_to_whoever_keeps_them(served):
    """A document has a tag, and who has it gets nothing."""
    for name, at in listeners(served).items():
        for path in ("/openapi.json", "/asyncapi.json"):
            first = httpx.get(at + path, trust_env=False)
            again = httpx.get(at + path, headers={"if-none-match": first.headers["etag"]}, trust_env=False)
            assert (first.status_code, again.status_code, again.content) == (200, 304, b""), (name, path)


def test_they_are_valid(told):
    """By the specification of OpenAPI, and by what AsyncAPI demands of channels, operations and messages."""
    for routes, sockets in told.values():
        openapi_spec_validator.validate(routes.whole)
        whole = sockets.whole
        assert whole["asyncapi"] == "3.0.0" and whole["info"]["version"] == routes.whole["info"]["version"]
        for operation in whole["operations"].values():
            channel = whole["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]
            names = {message["$ref"].rsplit("/", 1)[1] for message in operation["messages"]}
            assert operation["action"] in ("send", "receive") and names and names <= set(channel["messages"])
        for channel in whole["channels"].values():
            assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel.get("parameters", {}))


def faults(of: str, found: list[str]) -> list[str]:
    """With what they are of."""
    return [f"{of}: {fault}" for fault in found]


def test_the_examples_of_labs_and_chat_are_as_the_document_says(told):
    """Requests, answers and errors of both contracts."""
    wrong = []
    for name, examples in (("presence", documents.of_labs()), ("chat", documents.of_chat())):
        routes, _ = told[name]
        for heading, method, path, status, said in examples:
            if name == "presence" and status and status >= 400:
                # The contract's form of all errors has more than its examples of single ones.
                said = {"details": {}, "timestamp": "2025-11-22T10:50:00Z", "request_id": "req-abc123"} | said
            schema = routes.body(method, path) if status is None else routes.answer(method, path, status)
            wrong += faults(f"{name}, {heading} ({method} {path}, {status})", routes.judge(schema, said))
    events = told["chat"][0].operation("POST", "/api/v1/sessions/{}/chat/stream")["responses"]["200"]["content"]["text/event-stream"]
    for event in documents.of_streams():
        wrong += faults(f"chat, {event}", told["chat"][0].judge(events["x-event"], event))
    assert not wrong, "\n".join(wrong)


def test_the_examples_of_sockets_are_as_the_document_says(told):
    """Messages of all contracts, both ways."""
    wrong = []

    def judge(listener: str, channel: str, direction: str, name: str, said):
        sockets = told[listener][1]
        wrong.extend(faults(f"{channel}, {direction} {name}", sockets.judge(sockets.message(channel, direction, name), said)))

    for said in documents.of_presence():
        judge("presence", "presence.room", "heard", said["type"], said)
    for label, direction, said in documents.of_agents():
        judge("presence", "labs.agent", direction, said["type"], said)
    for said in documents.of_quiz():
        if "action" in said:
            judge("quiz", "quiz.owner", "said", "request", said)
        else:
            name = said["t"] or {"subscribed": "confirmation", "unsubscribed": "confirmation"}.get(said["event"], said["event"])
            judge("quiz", "quiz.participant" if name == "attempt_closed" else "quiz.owner", "heard", name, said)
    for (heading, number), said in tasks_examples.JSON.items():
        if heading != "Message Format":
            names = told["chat"][1].whole["channels"]["tasks.client"]["messages"]
            direction = next(way for way in ("said", "heard") if f"{way}.{said['type']}" in names)
            judge("chat", "tasks.client", direction, said["type"], said)
    assert not wrong, "\n".join(wrong)


async def asks_presence(house, http) -> tuple[str, dict]:
    """Whoever presence lets in."""
    return tokens.token("schemathesis"), {"classroom": quiz.NOBODY}


async def asks_labs(house, http) -> tuple[str, dict]:
    """An admin, where there is a template, and no agent."""
    lab = await labs.Lab(house, http, str).open()
    return lab.admin.token, {"template": "firefox-browser"}


async def asks_quiz(house, http) -> tuple[str, dict]:
    """An owner, with a quiz at which an attempt runs."""
    owner = quiz.Owner(house, http, "schemathesis")
    made = await owner.quiz()
    attempt = await owner.begin(made["id"])
    return owner.token, {"quiz": made["id"], "attempt": attempt.session}


async def asks_chat(house, http) -> tuple[str, dict]:
    """Somebody with a session."""
    person = chat.Person(house, http, "schemathesis")
    return person.token, {"session": (await person.good("POST", "/sessions", {}, 201))["id"]}


async def asks_tasks(house, http) -> tuple[str, dict]:
    """Somebody with a task that nobody works at."""
    person = tasks.Office(house, http, None).person()
    made = await person.good("POST", "/tasks", {"task": "Read"})
    return person.token, {"task": made["id"], "agent": "code-agent", "workflow": "code-review-workflow"}


async def asks_within(house, http) -> tuple[str, dict]:
    """The internal listener asks for no token, and has one user from the beginning."""
    return "", {"classroom": quiz.NOBODY, "username": "admin"}


ASKED = [
    ("presence", ["presence"], asks_presence), ("presence", ["labs"], asks_labs), ("quiz", ["quiz"], asks_quiz),
    ("chat", ["chat"], asks_chat), ("chat", ["tasks"], asks_tasks),
    ("internal", ["internal", "internalQuiz", "internalLabs", "internalChat"], asks_within),
]


@pytest.mark.parametrize(("listener", "tags", "asks"), ASKED, ids=lambda value: "-".join(value[:1]) if isinstance(value, list) else None)
async def test_schemathesis_finds_nothing(served, http, tmp_path, listener, tags, asks):
    """No server error, no status, type, header or body that the document does not tell of, whatever is asked."""
    token, stands = await asks(served, http)
    config = tmp_path / "schemathesis.toml"
    parameters = {f"path.{name}": value for name, value in stands.items()}
    config.write_text((Path(__file__).parent / "schemathesis.toml").read_text() + toml({"parameters": parameters}))
    command = [
        Path(sys.executable).parent / "st", "--config-file", config, "run", f"{listeners(served)[listener]}/openapi.json",
        *(part for tag in tags for part in ("--include-tag", tag)), "--max-examples", str(EXAMPLES), "--phases", PHASES, "--seed", "1",
        *(["--header", f"Authorization: Bearer {token}"] if token else []),
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ran.returncode == 0, f"{ran.stdout[-20_000:]}{ran.stderr[-2_000:]}"
