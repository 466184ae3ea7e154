"""The contract's sign-in by a second client that is not ours: `ws` on Node. `tests/run` installs Node and its `ws`."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import tokens
from contract import SUCCESS, failure

FOLDER = Path(__file__).parent / "node"

pytestmark = [
    pytest.mark.skipif(not shutil.which("node"), reason="there is no node on this machine"),
    pytest.mark.skipif(not (FOLDER / "node_modules/ws").is_dir(), reason="node's `ws` is not installed"),
]


def heard(house, room, signed: str) -> list[tuple]:
    """What the script heard."""
    command = ["node", "sign_in.mjs", f"ws://127.0.0.1:{house.presence_port}/ws", str(room), signed]
    done = subprocess.run(command, cwd=FOLDER, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return [(line["kind"], line["data"]) for line in map(json.loads, done.stdout.splitlines())]


def test_node_signs_in_is_pinged_and_leaves(house, room, name):
    said = heard(house, room, tokens.token(name()))
    assert said == [("open", ""), ("text", SUCCESS), ("ping", ""), ("close", 1000)]


def test_node_is_told_why_it_may_not(house, room):
    assert heard(house, room, "rubbish") == [("open", ""), ("text", failure("unauthenticated")), ("close", 1005)]
