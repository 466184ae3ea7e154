"""The contract of tasks, as far as it is examples (`examples/tasks.md`, word for word): its JSON by heading and number, and what may
stand where they have an id or a time."""

import json
import re
from pathlib import Path

TEXT = (Path(__file__).parent / "examples/tasks.md").read_text()

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
IDS = {"task_id", "execution_id", "client_id"}
TIMES = {"updated_at", "completed_at", "server_time", "timestamp"}


def _blocks() -> dict[tuple[str, int], object]:
    """Heading and number under it, from 1. A line of comment stands in for what the contract leaves to the task."""
    found, heading, number, body = {}, "", 0, None
    for line in TEXT.split("\n"):
        if body is not None and line.startswith("```"):
            found[heading, number] = json.loads("\n".join(body))
            body = None
        elif body is not None:
            body += [] if line.strip().startswith("//") else [line]
        elif line == "```json":
            number, body = number + 1, []
        elif line.startswith("#"):
            heading, number = line.lstrip("# "), 0
    return found


JSON = _blocks()


def example(heading: str, number: int = 1):
    """A JSON of the contract: `example("Task Update")`, `example("Example: Monitoring a Task", 2)`."""
    return JSON[heading, number]


# What each type of message has in its data, as the contract shows it, and what an error has where it repeats what was asked.
SAID = {
    example(heading)["type"]: set(example(heading)["data"])
    for heading in (
        "Task Update", "Task Completion", "Task Error", "Workflow Execution Update", "System Status Update", "Error Message",
        "Connection Established", "Connection Closed",
    )
} | {message["type"]: set(message["data"]) for message in (example("Ping/Pong", 1), example("Ping/Pong", 2))}
ECHO = set(example("Error Handling")["data"]) - SAID["error"]


def plain(value, name: str = ""):
    """With a mark for everything that is made anew each time."""
    if isinstance(value, dict):
        return {name: plain(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if name in TIMES:
        assert re.fullmatch(TIME, value), f"{name}: {value!r} is no time"
        return "<time>"
    return "<id>" if name in IDS and isinstance(value, str) else value


def like(said: dict, heading: str, number: int = 1, **over):
    """Equal to an example, but for ids and times, and for the data that `over` lays upon it. A type asks for any value of its own."""
    expected = plain(example(heading, number))
    expected["data"] |= over
    shown = plain(said)
    for name, value in over.items():
        if isinstance(value, type) and type(shown["data"].get(name)) is value:
            expected["data"][name] = shown["data"][name]
    assert shown == expected, f"{heading}, {number}"
