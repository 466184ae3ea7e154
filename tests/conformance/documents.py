"""The documents of a listener: what they say of a path or a socket, and whether something is as they say."""

import copy
import json
import re
from pathlib import Path

import jsonschema_rs

from chat_examples import events
from labs_examples import blocks

EXAMPLES = Path(__file__).parent / "examples"

# What the headings of labs' contract are about.
OF_LABS = {
    "Login": "POST /auth/login", "Logout": "POST /auth/logout", "List Agents": "GET /agents", "Get Agent Details": "GET /agents/{}",
    "Update Agent Status": "PATCH /agents/{}", "Agent Statistics": "GET /agents/stats", "Create Session": "POST /sessions",
    "List Sessions": "GET /sessions", "Get Session Details": "GET /sessions/{}", "Update Session State": "PATCH /sessions/{}",
    "Delete Session": "DELETE /sessions/{}", "Session Logs": "GET /sessions/{}/logs", "List Templates": "GET /templates",
    "Get Template Details": "GET /templates/{}", "List Users": "GET /users", "Create User": "POST /users",
    "Error Response Format": "GET /sessions", "Rate Limit Exceeded Response": "GET /sessions",
}


def closed(schema, is_part: bool = False):
    """The same, but that an object may have no field of which it does not tell: so what is said shows that all of it is told of."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {name: [closed(item, True) for item in schema[name]] for name in ("allOf",) if name in schema}
    rest = {name: closed(item) for name, item in schema.items() if name not in parts}
    whole = rest | parts
    is_object = "properties" in schema and "additionalProperties" not in schema
    if (is_object or "allOf" in schema) and not is_part:
        whole["unevaluatedProperties"] = False
    return whole


def parts_of_others(schema, found: set):
    """The names of the schemas that are parts of others: they cannot be closed for themselves."""
    if isinstance(schema, dict):
        found |= {part["$ref"].rsplit("/", 1)[1] for part in schema.get("allOf", []) if "$ref" in part}
        for item in schema.values():
            parts_of_others(item, found)
    elif isinstance(schema, list):
        for item in schema:
            parts_of_others(item, found)
    return found


class Document:
    """One of either kind."""

    def __init__(self, document: dict):
        self.whole = document
        schemas = document["components"]["schemas"]
        parts = parts_of_others(document, set())
        self.schemas = {name: schema if name in parts else closed(schema) for name, schema in schemas.items()}

    def judge(self, schema: dict, said) -> list[str]:
        """What is wrong with something that was said."""
        whole = closed(copy.deepcopy(schema)) | {"components": {"schemas": self.schemas}}
        validator = jsonschema_rs.Draft202012Validator(whole)
        return [f"{'/'.join(map(str, fault.instance_path))}: {fault.message}" for fault in validator.iter_errors(said)]


class Routes(Document):
    """OpenAPI."""

    def operation(self, method: str, path: str) -> dict:
        """What answers there; what stands in braces may be called otherwise."""
        bare = re.sub(r"\{[^}]*\}", "{}", path)
        (found,) = [of for known, of in self.whole["paths"].items() if re.sub(r"\{[^}]*\}", "{}", known) == bare]
        return found[method.lower()]

    def body(self, method: str, path: str) -> dict:
        """The schema of what a request has."""
        return self.operation(method, path)["requestBody"]["content"]["application/json"]["schema"]

    def answer(self, method: str, path: str, status: int) -> dict:
        """The schema of what an answer has."""
        return self.operation(method, path)["responses"][str(status)]["content"]["application/json"]["schema"]


class Sockets(Document):
    """AsyncAPI."""

    def message(self, channel: str, direction: str, name: str) -> dict:
        """The schema of a message: `message("tasks.client", "heard", "task_update")`."""
        return self.whole["components"]["messages"][f"{channel}.{direction}.{name}"]["payload"]


def of_chat() -> list[tuple]:
    """The examples of chat's contract: heading, method, path, status (none: the request), and what is said."""
    found, place = [], ("", "")
    for heading, label, language, text in blocks((EXAMPLES / "chat.md").read_text()):
        if language == "http" and (asked := re.match(r"(GET|POST) (\S+)", text)):
            place = asked.groups()
            body = text.partition("\n\n")[2]
            found += [(heading, *place, None, json.loads(body))] if body else []
        elif language == "json":
            is_request = "Request" in label
            place = ("POST", "/api/v1/sessions/") if heading == "Rate Limits" else place
            status = 429 if heading == "Rate Limits" else 201 if heading == "Create Session" else 200
            # The contract's own client reads `has_more` of this list, though its example has it not.
            more = {"has_more": False} if heading == "List Sessions" else {}
            found.append((heading, *place, None if is_request else status, more | json.loads(text)))
    return found


def of_labs() -> list[tuple]:
    """The examples of REST in labs' contract, likewise."""
    text = (EXAMPLES / "labs.md").read_text()
    found = []
    for heading, label, language, body in blocks(text):
        if language == "json" and not heading.endswith("Messages"):
            method, path = OF_LABS[heading].split(" ")
            status = {"Error Response Format": 400}.get(heading) or (None if label == "Request Body" else int(label))
            found.append((heading, method, f"/api/v1{path}", status, json.loads(body)))
    return found


def of_agents() -> list[tuple]:
    """The examples of what agents say and hear: label, direction, and what is said."""
    found = blocks((EXAMPLES / "labs.md").read_text())
    directions = {"Agent → Control Plane Messages": "said", "Control Plane → Agent Messages": "heard"}
    return [(label, directions[heading], json.loads(text)) for heading, label, fence, text in found if heading in directions and fence]


def of_streams() -> list[dict]:
    """The events of chat's contract. The last one has more here than its example: which message it was, and all that it took."""
    more = {"message_id": "msg_001"}, {"prompt_tokens": 100, "completion_tokens": 50}
    return [more[0] | event | {"usage": more[1] | event["usage"]} if event["type"] == "done" else event for event in events()]


def of_presence() -> list[dict]:
    """The messages of presence's contract, a line each."""
    text = (EXAMPLES / "presence.md").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def of_quiz() -> list[dict]:
    """The messages of quiz's contract: each object that begins a line of its own and is JSON."""
    text = (EXAMPLES / "quiz.md").read_text()
    found, decoder, at = [], json.JSONDecoder(), 0
    while opening := re.compile(r"^\{$", re.M).search(text, at):
        said, at = decoder.raw_decode(text, opening.start())
        found.append(said)
    return found
