"""A rolling restart of three nodes under the load harness: each student comes to another node before he leaves his, and hears all once."""

import asyncio
import contextlib
import json
import subprocess

import pytest

import tokens
from house import ROOT
from test_rolling import stopped

HARNESS = ROOT / "target/debug/homeroom-load"
ISSUER = tokens.ISSUERS["HS256"]


async def restarts(school, folder):
    """Restarts the node whose number is asked for by a file, and takes that away when it has been done."""
    while True:
        for number, node in enumerate(school.nodes):
            file = folder / str(number)
            if await asyncio.to_thread(file.exists):
                await stopped(node)
                await asyncio.to_thread(node.start)
                await asyncio.to_thread(school.is_whole)
                file.unlink()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(("students", "rounds"), [(120, 1), pytest.param(600, 4, marks=pytest.mark.long)])
async def test_nobody_is_without_a_connection_and_no_event_is_lost(school, tmp_path, students, rounds):
    # One that is there may be older than what it is asked for.
    subprocess.run(["cargo", "build", "--quiet", "--package", "homeroom-load", "--locked"], cwd=ROOT, check=True)
    report, asked = tmp_path / "report.json", tmp_path / "asked"
    asked.mkdir()
    (tmp_path / "key").write_text(ISSUER.secret)
    first, *others = [(f"ws://127.0.0.1:{node.presence_port}/ws", node.internal) for node in school.nodes]
    command = [
        HARNESS, "rolling", "--url", first[0], "--internal", first[1], "--students", str(students), "--classrooms", "12",
        "--publish-rate", "60", "--rounds", str(rounds), "--calm", "1s", "--plain", "--json", str(report),
        "--key", str(tmp_path / "key"), "--issuer", ISSUER.name, "--aud", tokens.OPEN,
        "--restart", f"touch {asked}/$NODE; while test -e {asked}/$NODE; do sleep 0.1; done",
    ]
    for url, internal in others:
        command += ["--also", f"{url},{internal}"]
    restarting = asyncio.create_task(restarts(school, asked))
    try:
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=240 + 240 * rounds)
    finally:
        restarting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await restarting
    # A generator that had no CPU says so with 3: its counts stand all the same.
    assert done.returncode in (0, 3), done.stdout + done.stderr
    told = json.loads(report.read_text())
    assert not told["faults"] and not [check for check in told["checks"] if check["expected"] != check["found"]], done.stdout
    rolling = told["rolling"]
    assert (rolling["bare"], rolling["unsure"], told["counts"]["undelivered"], told["counts"]["twice"]) == (0, 0, 0, 0), done.stdout
    # Each node had a third of them when its turn came, and none when it was over.
    assert rolling["told"] == rolling["moved"] >= students * rounds, done.stdout
    assert told["fates"]["meant"] == told["fates"]["delivered"] > 0
