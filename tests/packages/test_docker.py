"""What the container's runtime is told: the profile of system calls against what the server really calls, and the shape of the rest."""

import json
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/conformance"))
import house  # noqa: E402
from house import BINARY  # noqa: E402

DOCKER = ROOT / "packaging/docker"
RINGS = {"io_uring_enter", "io_uring_register", "io_uring_setup"}


def profile() -> dict:
    """As Docker reads it."""
    return json.loads((DOCKER / "seccomp.json").read_text())


def allowed() -> set:
    """What a process without capabilities may call."""
    rules = [rule for rule in profile()["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and not rule["includes"].get("caps")]
    return {name for rule in rules for name in rule["names"]}


def test_the_profile_has_the_shape_of_one_and_one_rule_of_ours():
    whole = profile()
    assert set(whole) == {"defaultAction", "archMap", "syscalls"} and whole["defaultAction"] == "SCMP_ACT_ERRNO"
    for rule in whole["syscalls"]:
        assert rule["names"] and rule["action"] in ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"), rule
    ours = [rule for rule in whole["syscalls"] if RINGS & set(rule["names"])]
    assert len(ours) == 1 and set(ours[0]["names"]) == RINGS and "Homeroom" in ours[0]["comment"]


def traced(folder: Path) -> set:
    """What a server calls that starts, lets somebody in, answers REST and stops."""
    school = house.House(folder, 2, "http://127.0.0.1:9")
    notes = folder / "calls"
    words = ["strace", "--follow-forks", "--quiet=all", "--trace=all", "--output", notes, BINARY, "serve", "--config", school.config]
    with school.log.open("ab") as log:
        school.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    try:
        limit = time.monotonic() + 120
        while not school._ready():
            assert school.process.poll() is None and time.monotonic() < limit, school.log.read_text()[-2000:]
            time.sleep(0.1)
        added = subprocess.run([BINARY, "user", "add", "ada", "--internal", school.internal], input="correct horse battery\n", text=True,
                               capture_output=True)
        assert added.returncode == 0, added.stderr
        token = house.tokens.token("ada")
        words = [BINARY, "join", f"ws://127.0.0.1:{school.presence_port}/ws", "--token", token]
        joined = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            assert "connect_success" in joined.stdout.readline()
        finally:
            joined.kill()
            joined.wait()
            joined.stdout.close()
        # The server itself, whose end strace then passes on.
        server = int(re.match(r"(\d+)", notes.read_text())[1])
        house.os.kill(server, signal.SIGTERM)
        school.process.wait(60)
    finally:
        if school.process.poll() is None:
            school.process.kill()
            school.process.wait()
    return set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed)", notes.read_text(), re.M))


def test_the_profile_allows_all_that_the_server_calls(tmp_path, needed):
    needed("strace")
    calls = traced(tmp_path)
    assert RINGS <= calls, sorted(calls)
    # Docker answers ENOSYS to clone3, for which the C library has clone.
    assert calls - allowed() <= {"clone3"}


def test_the_image_has_the_compiler_of_the_package():
    text = (DOCKER / "Dockerfile").read_text()
    rust = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    assert f"FROM rust:{rust}-slim-" in text
    assert re.search(r"^USER [1-9]\d*$", text, re.M) and "HEALTHCHECK" in text


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("there is no hadolint")
    # DL3008: packages come by their names alone; the release of Debian pins them.
    judged = subprocess.run([hadolint, "--no-color", "--ignore", "DL3008", DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout


def test_the_containers_settings_are_settings():
    """Every variable of ours in the examples is one that the server knows."""
    known = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    for name in ("Dockerfile", "compose.yaml"):
        for variable in set(re.findall(r"HOMEROOM_[A-Z_]+", (DOCKER / name).read_text())):
            assert variable in known or variable == "HOMEROOM_CLUSTER", f"{name}: {variable}"


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "seccomp.json"])
def test_files_name_no_host(name):
    text = (DOCKER / name).read_text()
    assert not re.search(r"https?://|\.io/|\.com\b", text), name
