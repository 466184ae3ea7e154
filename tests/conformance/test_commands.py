"""The commands beside `serve`: settings printed and checked, tokens and owners made."""

import asyncio
import json
import os
import pty
import re
import secrets
import signal
import socket
import subprocess
import termios
import threading
import time
import tomllib

import httpx
import jwt
import pytest

import tokens
from client import sign_in
from house import BINARY, PORTS


def run(*arguments, said: str = "", **environment) -> subprocess.CompletedProcess:
    """One command, to its end; `said` is what it hears on standard input."""
    return subprocess.run(
        [BINARY, *arguments], input=said, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


def test_the_printed_settings_are_commented_valid_and_the_defaults(tmp_path):
    printed = run("print-config")
    assert printed.returncode == 0
    assert "#" in printed.stdout
    defaults = tomllib.loads(printed.stdout)
    assert defaults["listen"]["presence"]["bind"] == "127.0.0.1:8080"
    assert defaults["listen"]["quiz"]["bind"] == "127.0.0.1:8090"
    assert defaults["listen"]["chat"]["bind"] == "127.0.0.1:8000"
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
        presence_port, quiz_port, chat_port, internal_port = (PORTS.free() for _ in range(4))
        two_shards, sockets, context = (0, 0), "ws", None

    apis = ("presence", "quiz", "chat", "internal")
    ports = [f"--listen.{api}.bind=127.0.0.1:{getattr(Embedded, f'{api}_port')}" for api in apis]
    for turn in range(2):  # the second start finds the keys of the first
        process = start_at_terminal(tmp_path, *ports)
        try:
            await until_ready(f"http://127.0.0.1:{Embedded.internal_port}/readyz")
            text = await said_with(tmp_path, "Make a quiz:")
            found = re.search(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+", text)
            assert f"ws://127.0.0.1:{Embedded.presence_port}/ws" in text
            assert f"ws://127.0.0.1:{Embedded.quiz_port}/ws" in text
            assert f"127.0.0.1:{Embedded.internal_port}" in text
            first = found[0] if turn == 0 else first
            for signed in (first, found[0]):
                await sign_in(Embedded, room, signed)
            line = next(line for line in text.splitlines() if "Make a quiz:" in line).split("Make a quiz:")[1]
            made = subprocess.run(["/bin/sh", "-c", f"{line} --silent"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            assert json.loads(made.stdout)["data"]["id"] == turn + 1, made
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    process = start(tmp_path, *ports)
    try:
        assert "eyJ" not in await said_with(tmp_path, "Talk to an agent:"), "no token is said into a file"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    keys = [path for path in (tmp_path / "data").rglob("*") if "key" in str(path.parent) and path.is_file()]
    assert keys and all(path.stat().st_mode & 0o077 == 0 for path in keys), "keys are for the owner alone"


async def test_apis_can_share_a_port_under_prefixes(tmp_path, room):
    class Shared:
        presence_port, two_shards, sockets, context = PORTS.free(), (0, 0), "ws", None

    address = f"127.0.0.1:{Shared.presence_port}"
    apis = ("presence", "quiz", "labs", "internal")
    flags = [f"--listen.{api}.{key}" for api in apis for key in (f"bind={address}", f"prefix=/{api}")]
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
            signed = run("token", "quiz", HOMEROOM_DATA_DIR=str(tmp_path / "data")).stdout.strip()
            listed = await http.get(f"http://{address}/quiz/api/v1/quizzes", headers={"authorization": f"Bearer {signed}"})
            assert listed.json()["data"] == {"items": [], "total": 0}
            assert (await http.get(f"http://{address}/quiz/ws")).status_code == 401
            assert (await http.get(f"http://{address}/labs/api/v1/sessions")).json()["code"] == "AUTH_TOKEN_MISSING"
            made = run("owner", "mary", "--internal", f"http://{address}/internal", said=f"{secrets.token_hex(8)}\n")
            assert made.returncode == 0, made.stderr
            for path in ("/ws", "/healthz", "/presence/livez", "/internal/healthz", "/labs/healthz", "/api/v1/sessions", "/api/v1/owners"):
                assert (await http.get(f"http://{address}{path}")).status_code == 404, path
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def signed_in(house, name: str, password: str) -> httpx.Response:
    """The answer to a sign-in."""
    return httpx.post(f"{house.quiz}/api/v1/auth/sign-in", json={"name": name, "password": password}, trust_env=False)


def owner(house, name: str, said: str) -> subprocess.CompletedProcess:
    """`homeroom owner`, with its password from a pipe."""
    return run("owner", name, "--config", str(house.config), said=said)


def test_an_owner_signs_in_with_the_password_that_was_asked_for(build):
    house = build()
    first, second = secrets.token_hex(8), secrets.token_hex(8)
    assert signed_in(house, "mary", first).status_code == 401
    for password in (first, second):  # the second time it is a new password
        made = owner(house, "mary", f"{password}\n")
        assert made.returncode == 0 and "mary" in made.stdout, made.stderr
        token = signed_in(house, "mary", password).json()["data"]["access_token"]
        house.secrets += [password, token]
        listed = httpx.get(f"{house.quiz}/api/v1/quizzes", headers={"authorization": f"Bearer {token}"}, trust_env=False)
        assert listed.status_code == 200, listed.text
    assert signed_in(house, "mary", first).status_code == 401
    assert signed_in(house, "nobody", second).status_code == 401


async def test_a_new_password_ends_the_tokens_of_the_old_one(build):
    house = build()
    made = []
    for password in (secrets.token_hex(8), secrets.token_hex(8)):
        assert owner(house, "mary", f"{password}\n").returncode == 0
        assert owner(house, "john", f"{password}\n").returncode == 0
        made.append([signed_in(house, name, password).json()["data"]["access_token"] for name in ("mary", "john")])
        house.secrets += [password, *made[-1]]
    operators = run("token", "quiz", "--config", str(house.config), "--subject", "mary").stdout.strip()
    house.secrets.append(operators)
    for _ in range(2):  # also after a restart
        for token, status in [*((old, 401) for old in made[0]), *((new, 200) for new in made[1]), (operators, 200)]:
            listed = httpx.get(f"{house.quiz}/api/v1/quizzes", headers={"authorization": f"Bearer {token}"}, trust_env=False)
            assert listed.status_code == status, listed.text
            socket = httpx.get(f"{house.quiz}/ws", params={"token": token}, trust_env=False)
            assert socket.status_code == (426 if status == 200 else 401), socket.text
        house.stop()
        house.start()


def test_an_owner_that_cannot_be_made_is_told_why(build):
    house = build()
    for name, said in (("mary", "short\n"), ("mary", ""), ("Mary", f"{secrets.token_hex(8)}\n")):
        refused = owner(house, name, said)
        assert refused.returncode == 2 and refused.stderr.strip() and refused.stdout == "", (name, refused)
    house.stop()
    for name, said in (("mary", "short\n"), ("Mary", f"{secrets.token_hex(8)}\n")):
        refused = owner(house, name, said)
        assert refused.returncode == 2 and refused.stderr.strip() and refused.stdout == "", (name, refused)
    gone = run("owner", "mary", "--internal", house.internal, said=f"{secrets.token_hex(8)}\n")
    assert gone.returncode == 1 and house.internal in gone.stderr, gone


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_without_a_server_an_owner_is_written_into_the_records(build, end):
    house = build()
    first, second = secrets.token_hex(8), secrets.token_hex(8)
    assert owner(house, "mary", f"{first}\n").returncode == 0
    getattr(house, end)()
    assert owner(house, "mary", f"{second}\n").returncode == 0
    assert owner(house, "john", f"{first}\n").returncode == 0
    house.start()
    house.secrets += [first, second]
    assert [signed_in(house, *who).status_code for who in (("mary", first), ("mary", second), ("john", first))] == [401, 200, 200]


def test_a_server_that_believes_others_has_no_accounts(build, tmp_path):
    key_file = str(tokens.write_keys(tmp_path)["ES256"])
    house = build(quiz={"issuers": {"id.example.org": {"audiences": ["example.org"], "algorithm": "ES256", "key_file": key_file}}})
    password = secrets.token_hex(8)
    refused = owner(house, "mary", f"{password}\n")
    assert refused.returncode == 1 and "[quiz.issuers]" in refused.stderr, refused
    assert signed_in(house, "mary", password).status_code == 404
    house.stop()
    refused = owner(house, "mary", f"{password}\n")
    assert refused.returncode == 1 and "[quiz.issuers]" in refused.stderr, refused


def test_a_first_start_that_cannot_listen_makes_no_admin_whose_password_nobody_was_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [f"--listen.{api}.bind=127.0.0.1:{PORTS.free()}" for api in ("presence", "quiz", "internal")]
        folder = f"--data-dir={tmp_path / 'data'}"
        served = run("serve", folder, *ports, f"--listen.chat.bind=127.0.0.1:{taken.getsockname()[1]}")
    assert served.returncode == 1 and "another process uses the port" in served.stderr, served
    users = run("user", "list", folder)
    assert (users.returncode, users.stdout) == (0, ""), users


def test_at_a_terminal_the_password_is_asked_for_twice_and_not_shown(build):
    house = build()
    password = secrets.token_hex(8)
    for second, code in ((password, 0), (password + "x", 2)):
        child, terminal = pty.fork()
        if child == 0:
            os.execv(BINARY, [BINARY, "owner", "mary", "--config", house.config])
        shown = heard(terminal, b"Password: ")
        os.write(terminal, f"{password}\n".encode())
        shown += heard(terminal, b"Again: ")
        os.write(terminal, f"{second}\n".encode())
        shown += heard(terminal, None)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code, shown
        assert password.encode() not in shown, "the password was shown"
    assert signed_in(house, "mary", password).status_code == 200


def test_whoever_gives_up_at_the_password_finds_the_terminal_as_it_was():
    child, ours = pty.fork()
    if child == 0:
        os.execv(BINARY, [BINARY, "owner", "mary"])
    heard(ours, b"Password: ")
    os.write(ours, b"half a pass\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGINT
    assert termios.tcgetattr(ours)[3] & termios.ECHO
    os.close(ours)


def heard(terminal: int, until: bytes | None) -> bytes:
    """What the terminal shows, up to `until` or its end."""
    all_shown = b""
    while until is None or until not in all_shown:
        more = shown(terminal)
        if not more:
            assert until is None, all_shown
            break
        all_shown += more
    return all_shown


def start(folder, *flags) -> subprocess.Popen:
    """A server with settings by flags alone; what it says is in `said` in the folder."""
    with (folder / "said").open("wb") as out:
        command = [BINARY, *flags, "--stop.drain=100ms"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)


def start_at_terminal(folder, *flags) -> subprocess.Popen:
    """The same with somebody at a terminal who reads what it says."""
    terminal, its = pty.openpty()
    with os.fdopen(its, "wb") as out:
        command = [BINARY, *flags, "--stop.drain=100ms"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)
    said = (folder / "said").open("wb", buffering=0)

    def read():
        with said:
            while more := shown(terminal):
                said.write(more)
        os.close(terminal)

    threading.Thread(target=read, daemon=True).start()
    return process


def shown(terminal: int) -> bytes:
    """More of what a terminal shows; nothing at its end."""
    try:
        return os.read(terminal, 1024)
    except OSError:  # the end of a terminal is EIO
        return b""


async def until_ready(url: str):
    """Waits until this answers 200."""
    async with httpx.AsyncClient(trust_env=False) as http:
        for _ in range(3000):
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.02)
    raise AssertionError(f"{url} is not ready within a minute")


async def said_with(folder, last: str) -> str:
    """What a server said, once the line that begins so is whole."""
    for _ in range(3000):
        text = (folder / "said").read_text()
        if "\n" in text.partition(last)[2]:
            return text
        await asyncio.sleep(0.02)
    raise AssertionError(f"{last} is not said within a minute: {text}")


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
    deadline = time.monotonic() + 60
    while not caught(status) and time.monotonic() < deadline:
        time.sleep(0.0005)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0, house.log.read_text()[-3000:]


def caught(status: str) -> bool:
    """Whether the process has a handler for SIGTERM."""
    with open(status) as file:
        mask = next(line.split()[1] for line in file if line.startswith("SigCgt"))
    return bool(int(mask, 16) & (1 << (signal.SIGTERM - 1)))


def test_too_few_open_files_are_said_at_the_start(tmp_path):
    served = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -n 100 && exec "$0" serve', BINARY], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, cwd=tmp_path,
    )
    assert served.returncode == 1
    assert "open files is 100" in served.stderr
