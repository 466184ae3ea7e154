"""The commands beside `serve`: settings printed and checked, tokens made."""

import asyncio
import os
import re
import signal
import subprocess
import time
import tomllib

import httpx
import jwt

import tokens
from client import sign_in
from house import BINARY, PORTS


def run(*arguments, **environment) -> subprocess.CompletedProcess:
    """One command, to its end."""
    return subprocess.run(
        [BINARY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, env={**os.environ, **environment}
    )


def test_the_printed_settings_are_commented_valid_and_the_defaults(tmp_path):
    printed = run("print-config")
    assert printed.returncode == 0
    assert "#" in printed.stdout
    defaults = tomllib.loads(printed.stdout)
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


async def test_tokens_are_made_one_a_line_and_let_in(build, room):
    house = build()
    who = ["--issuer", tokens.ISSUERS["HS256"].name, "--aud", tokens.OPEN]
    made = run("token", "presence", "--config", str(house.config), *who, "--sub", "pupil-{n}", "--count", "3", "--ttl", "1h")
    assert made.returncode == 0, made.stderr
    lines = made.stdout.splitlines()
    tokens.MINTED.extend(lines)
    assert [jwt.decode(line, options={"verify_signature": False})["sub"] for line in lines] == ["pupil-1", "pupil-2", "pupil-3"]
    for line in lines:
        await sign_in(house, room, line)
    unknown = run("token", "presence", "--config", str(house.config), "--issuer", "somebody.example.org")
    assert unknown.returncode != 0 and unknown.stdout == ""


async def test_without_any_configuration_it_makes_its_keys_and_shows_a_token(tmp_path, room):
    class Embedded:
        presence_port, internal_port, two_shards = PORTS.free(), PORTS.free(), (0, 0)

    ports = [f"--listen.presence.bind=127.0.0.1:{Embedded.presence_port}", f"--listen.internal.bind=127.0.0.1:{Embedded.internal_port}"]
    for turn in range(2):  # the second start finds the keys of the first
        process = start(tmp_path, *ports)
        try:
            await until_ready(f"http://127.0.0.1:{Embedded.internal_port}/readyz")
            text = (tmp_path / "said").read_text()
            found = re.search(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+", text)
            assert f"ws://127.0.0.1:{Embedded.presence_port}/ws" in text
            assert f"127.0.0.1:{Embedded.internal_port}" in text
            first = found[0] if turn == 0 else first
            for signed in (first, found[0]):
                await sign_in(Embedded, room, signed)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
    keys = [path for path in (tmp_path / "data").rglob("*") if "key" in str(path.parent) and path.is_file()]
    assert keys and all(path.stat().st_mode & 0o077 == 0 for path in keys), "keys are for the owner alone"


async def test_apis_can_share_a_port_under_prefixes(tmp_path, room):
    class Shared:
        presence_port, two_shards = PORTS.free(), (0, 0)

    address = f"127.0.0.1:{Shared.presence_port}"
    flags = [f"--listen.{api}.bind={address}" for api in ("presence", "internal")]
    flags += [f"--listen.{api}.prefix=/{api}" for api in ("presence", "internal")]
    process = start(tmp_path, *flags)
    try:
        await until_ready(f"http://{address}/internal/readyz")
        signed = run("token", "presence", HOMEROOM_DATA_DIR=str(tmp_path / "data")).stdout.strip()
        await sign_in(Shared, room, signed, path="/presence/ws")
        async with httpx.AsyncClient(trust_env=False) as http:
            body = {"entity_type": "ban", "operation": "created", "payload": {}}
            published = await http.post(f"http://{address}/internal/api/v1/classrooms/{room}/events", json=body)
            assert published.json()["members"] == 1
            listed = await http.get(
                f"http://{address}/presence/api/v1/classrooms/{room}/agents", headers={"authorization": f"Bearer {signed}"}
            )
            assert len(listed.json()) == 1
            for path in ("/ws", "/healthz", "/presence/livez", "/internal/healthz", "/api/v1/sessions"):
                assert (await http.get(f"http://{address}{path}")).status_code == 404, path
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def start(folder, *flags) -> subprocess.Popen:
    """A server with settings by flags alone; what it says is in `said` in the folder."""
    with (folder / "said").open("wb") as out:
        command = [BINARY, *flags, "--stop.drain=100ms"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)


async def until_ready(url: str):
    """Waits until this answers 200."""
    async with httpx.AsyncClient(trust_env=False) as http:
        for _ in range(500):
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.02)
    raise AssertionError(f"{url} is not ready within 10 s")


def test_the_doctor_looks_at_the_machine():
    looked = run("doctor")
    said = (looked.stdout + looked.stderr).lower()
    for thing in ("kernel", "io_uring", "open files", "locked memory", "somaxconn", "port range", "clock", "cores"):
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
