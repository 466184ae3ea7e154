"""The load harness's scenarios of members who drop, and of members who do not read, against this server: what it counts agrees."""

import asyncio
import json
import subprocess

import pytest

import tokens
from house import ROOT

HARNESS = ROOT / "target/debug/homeroom-load"
ISSUER = tokens.ISSUERS["HS256"]


async def load(house, folder, scenario: str, arguments: str) -> dict:
    """Runs a scenario; returns its report. A generator that had no CPU says so with 3: its counts stand all the same."""
    report = folder / f"{scenario}.json"
    where = ["--url", f"ws://127.0.0.1:{house.presence_port}/ws", "--internal", house.internal, "--json", str(report)]
    signing = ["--key", str(folder / "key"), "--issuer", ISSUER.name, "--aud", tokens.OPEN]
    (folder / "key").write_text(ISSUER.secret)
    command = [HARNESS, scenario, *where, *signing, "--pid", str(house.process.pid), *arguments.split()]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=240)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    told = json.loads(report.read_text())
    assert not told["faults"] and not [check for check in told["checks"] if check["expected"] != check["found"]], done.stdout
    return told


@pytest.mark.parametrize("drop", ["close", "reset"])
async def test_everybody_drops_and_comes_back(build, tmp_path, drop):
    house = build(log={"level": "info"})
    arguments = f"--students 400 --classrooms 2 --rounds 2 --within 2s --calm 500ms --publish-rate 40 --drop {drop} --returns soon"
    told = await load(house, tmp_path, "reconnect", arguments)
    assert told["reconnect"]["returned"] == 2 * 398 == told["latencies"]["return"]["count"]
    fates = told["fates"]
    assert fates.pop("meant") == sum(fates.values()) and fates["away"] > 0
    # More than a hundred in a room: comings and goings are told together.
    assert told["counts"]["changed"] > 0 and told["reconnect"]["leavings_heard"] > 0


async def test_who_does_not_read_is_cut_off_and_all_is_accounted_for(build, tmp_path):
    house = build(presence={"ping_interval": "1h"}, log={"level": "info"})
    arguments = "--students 20 --classrooms 2 --share 0.1 --publish-rate 80 --bytes 32768 --before 1s --for 6s --receive-buffer 4096"
    told = await load(house, tmp_path, "slow", arguments)
    slow, fates = told["slow"], told["fates"]
    assert slow["members"] == 2 == slow["cut_off_by_server"] and 0 < slow["first_cut_off_s"] <= slow["last_cut_off_s"]
    assert slow["cut_off"] == 2 == sum(slow["ends"].values())
    assert fates.pop("meant") == sum(fates.values()) and fates["dropped_slow"] > 0 and fates["away"] > 0
