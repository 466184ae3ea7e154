"""The contract of chat, word for word (`examples/chat.md`): its JSON by heading and label, its programs, and what may stand where it has
an id or a time."""

import json
import re
from pathlib import Path

from labs_examples import TIME, blocks, differences, laid

TEXT = (Path(__file__).parent / "examples/chat.md").read_text()

# What is made anew each time, in the examples and in what the server says.
MADE = [
    (r"sess_[0-9a-z]+", "<session>"), (r"msg_[0-9a-z]+", "<message>"), (r"appr_[0-9a-z]+", "<approval>"), (TIME, "<time>"),
    (r"eyJ[\w-]*\.(\.\.|[\w-]+\.[\w-]+)", "<token>"),
]
BLOCKS = blocks(TEXT)
JSON = {(heading, label): json.loads(text) for heading, label, language, text in BLOCKS if language == "json"}


def example(heading: str, label: str):
    """A JSON of the contract: `example("Create Session", "Example Request")`."""
    return JSON[heading, label]


def program(heading: str, language: str, number: int = 0) -> str:
    """A program of the contract, or the block of this number under its heading."""
    return [text for found, _, fence, text in BLOCKS if (found, fence) == (heading, language)][number]


def events() -> list[dict]:
    """The events of the contract's stream. Its `{...}` stands for any object."""
    (text,) = [text for heading, label, _, text in BLOCKS if (heading, label) == ("Stream Chat Response", "Response (SSE Stream)")]
    return [json.loads(line.removeprefix("data: ").replace("{...}", "{}")) for line in text.splitlines()]


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    under = re.split(rf"^#+ {re.escape(heading)}$", TEXT, flags=re.M)[1]
    under = re.split(r"^#+ ", under, flags=re.M)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in under.splitlines() if line.startswith("|")]
    return rows[2:]


def plain(value):
    """With a mark for everything that is made anew each time."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str):
        for pattern, mark in MADE:
            value = re.sub(pattern, mark, value)
    return value


def like(said, heading: str, label: str, **over):
    """Equal to an example, but for what is made anew each time and for what `over` lays upon it; the keys in the example's order."""
    expected = laid(example(heading, label), over)
    faults = differences(plain(said), plain(expected), "")
    assert not faults, "\n".join([f"{heading}, {label}:", *faults])
    assert not isinstance(said, dict) or list(said) == list(expected), (list(said), list(expected))
