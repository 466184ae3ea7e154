"""The contract of labs, as far as it is examples (`examples/labs.md`, word for word): its JSON by heading and label, its scripts, and
what may stand where they have an id, a time or a token."""

import json
import re
from pathlib import Path

TEXT = (Path(__file__).parent / "examples/labs.md").read_text()

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
# What is made anew each time, in the examples and in what the server says.
MADE = [
    (UUID, "<uuid>"), (TIME, "<time>"), (r"cmd-[0-9a-z]+", "<command>"), (r"conn-[0-9a-z]+", "<connection>"),
    (r"proxy-[0-9a-z]+", "<proxy>"), (r"eyJ[\w-]*\.(\.\.|[\w-]+\.[\w-]+)", "<token>"),
    (r"-[0-9a-f]{6}(?=$|-)", "-<hex>"), (r"in \d+ seconds", "in <n> seconds"), (r"req-[0-9a-z]+", "<request>"),
]


def blocks(text: str) -> list[tuple[str, str, str, str]]:
    """Heading, label, language and text of each block of a contract."""
    found, heading, label = [], "", ""
    fence, body = None, []
    for line in text.split("\n"):
        if fence is not None:
            if line.startswith("```"):
                found.append((heading, label, fence, "\n".join(body)))
                fence, body = None, []
            else:
                body.append(line)
        elif line.startswith("```"):
            fence = line[3:]
        elif line.startswith("#"):
            heading, label = line.lstrip("# "), ""
        elif bold := re.match(r"\*\*(?:\d+\. )?(.*?):?\*\*(?::? ?\(?(\d+))?", line):
            label = bold[2] or bold[1]
    return found


BLOCKS = blocks(TEXT)
JSON = {(heading, label): json.loads(text) for heading, label, language, text in BLOCKS if language == "json"}


def example(heading: str, label: str):
    """A JSON of the contract: `example("Login", "200")`, `example("Login", "Request Body")`."""
    return JSON[heading, label]


def script(heading: str) -> str:
    """A whole script of the contract."""
    (text,) = [text for found, _, language, text in BLOCKS if (found, language) == (heading, "bash")]
    return text


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


def laid(expected, over: dict):
    """`expected` with other values under some names, however deep. A type asks for any value of its own."""
    if isinstance(expected, dict):
        return {name: over[name] if name in over else laid(item, over) for name, item in expected.items()}
    if isinstance(expected, list):
        return [laid(item, over) for item in expected]
    return expected


def differences(said, expected, place: str) -> list[str]:
    """Where they differ; of a type any value will do."""
    if isinstance(expected, type):
        return [] if type(said) is expected else [f"{place}: {said!r} is no {expected.__name__}"]
    if isinstance(expected, dict) and isinstance(said, dict):
        faults = [f"{place}.{name}: only the example has it" for name in expected.keys() - said.keys()]
        faults += [f"{place}.{name}: the example has it not" for name in said.keys() - expected.keys()]
        both = expected.keys() & said.keys()
        return faults + [fault for name in both for fault in differences(said[name], expected[name], f"{place}.{name}")]
    if isinstance(expected, list) and isinstance(said, list) and len(said) == len(expected):
        return [fault for index, pair in enumerate(zip(said, expected)) for fault in differences(*pair, f"{place}[{index}]")]
    is_same = type(said) is type(expected) and said == expected
    return [] if is_same else [f"{place}: {said!r}, in the example {expected!r}"]


def like(said, heading: str, label: str, **over):
    """Equal to an example, but for what is made anew each time and for what `over` lays upon it."""
    faults = differences(plain(said), plain(laid(example(heading, label), over)), "")
    assert not faults, "\n".join([f"{heading}, {label}:", *faults])


def refused_like(said, heading: str, label: str, **over):
    """An error equal to an example, and with all keys that the contract's form of errors has."""
    expected = laid(example(heading, label), over)
    named = {name: said.get(name) for name in expected}
    faults = differences(plain(named), plain(expected), "")
    assert not faults, "\n".join([f"{heading}, {label}:", *faults])
    assert set(example("Error Response Format", "")) <= set(said)
