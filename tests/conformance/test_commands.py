"""The commands beside `serve`: settings printed and checked, tokens made."""

import os
import re
import signal
import subprocess
import time
import tomllib

from house import BINARY


def run(*arguments, **environment) -> subprocess.CompletedProcess:
    """One command, to its end."""
    return subprocess.run(
        [BINARY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, env={**os.environ, **environment}
    )


def test_the_printed_settings_are_commented_valid_and_the_defaults(tmp_path):
    printed = run("print-config")
    assert printed.returncode == 0
    assert "#" in printed.stdout
    tomllib.loads(printed.stdout)
    defaults = tomllib.loads(re.sub(r"^# ?(\w+ = )", r"\1", printed.stdout, flags=re.MULTILINE))
    assert defaults["listen"]["presence"]["bind"] == "127.0.0.1:8080"
    assert defaults["listen"]["internal"]["bind"] == "127.0.0.1:9090"
    assert defaults["presence"]["auth_timeout"] == "10s"
    config = tmp_path / "homeroom.toml"
    config.write_text(printed.stdout)
    checked = run("check-config", "--config", str(config))
    assert checked.returncode == 0, checked.stderr


def test_all_faults_are_told_at_once(tmp_path):
    config = tmp_path / "homeroom.toml"
    config.write_text('shardz = 2\n[presence]\nauth_timeout = "soon"\nevents = 7\n[stop]\ndrain = "10s"\n')
    checked = run("check-config", "--config", str(config))
    assert checked.returncode != 0
    said = checked.stdout + checked.stderr
    for key in ("shardz", "auth_timeout", "events"):
        assert key in said, said
    assert "drain" not in said


def test_serve_refuses_bad_settings_and_says_why(tmp_path):
    config = tmp_path / "homeroom.toml"
    config.write_text('[presence]\nevents = "maybe"\n')
    served = run("serve", "--config", str(config))
    assert served.returncode != 0
    assert "presence.events" in served.stdout + served.stderr


def test_a_port_that_is_taken_is_said_so(build):
    house = build()
    again = run("serve", "--config", str(house.config), HOMEROOM_DATA_DIR=str(house.folder / "other"), HOMEROOM_STOP_DRAIN="0s")
    assert again.returncode != 0
    assert str(house.presence_port) in again.stderr + again.stdout or str(house.internal_port) in again.stderr + again.stdout


def test_the_doctor_looks_at_the_machine():
    looked = run("doctor")
    said = (looked.stdout + looked.stderr).lower()
    for thing in ("kernel", "io_uring", "nofile", "memlock", "somaxconn", "port", "clock", "core"):
        assert thing in said, f"doctor says nothing of {thing}"


def test_a_stop_during_the_start_is_a_good_end(build):
    house = build()
    house.stop()
    with house.log.open("ab") as log:
        process = subprocess.Popen([BINARY, "serve", "--config", house.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    # Signals are caught before anything else is done; this is the first sign of life that can be seen from outside.
    status = f"/proc/{process.pid}/status"
    deadline = time.monotonic() + 20
    while not caught(status) and time.monotonic() < deadline:
        time.sleep(0.0005)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0, house.log.read_text()[-3000:]


def caught(status: str) -> bool:
    """Whether the process has a handler for SIGTERM."""
    with open(status) as file:
        mask = next(line.split()[1] for line in file if line.startswith("SigCgt"))
    return bool(int(mask, 16) & (1 << (signal.SIGTERM - 1)))


def test_too_few_open_files_are_said_at_the_start(tmp_path):
    served = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -n 100 && exec "$0" serve', BINARY], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=30, cwd=tmp_path,
    )
    assert served.returncode == 1
    assert "open files is 100" in served.stderr
