"""The audit log: a line for each sign-in, refusal, act of an operator and decision; over rotation and a full disk; without a secret."""

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import time

import httpx

import pytest

import tokens
from client import open_socket, sign_in
from contract import connect_request
from house import BINARY
from labs import PASSWORD
from test_reload import Reloads

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Log:
    """The file, as it is read line by line."""

    def __init__(self, path):
        self.path = path

    def lines(self) -> list[dict]:
        """All whole lines."""
        text = self.path.read_text() if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    async def has(self, count: int = 1, **fields) -> list[dict]:
        """Waits for so many lines with these fields; gives all of them."""
        deadline = time.monotonic() + 60
        while len(found := [line for line in self.lines() if fields.items() <= line.items()]) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} with {fields} in {self.lines()[-20:]}"
            await asyncio.sleep(0.02)
        for line in found:
            assert TIME.fullmatch(line["time"]), line
        return found


@pytest.fixture
def log(tmp_path):
    """Where it is."""
    return Log(tmp_path / "audit.log")


def audited(written, **settings) -> dict:
    """Settings with it."""
    return {"audit": {"file": str(written.path)}, **settings}


async def metric(house, http, name: str) -> int:
    """A figure of the log's."""
    text = (await http.get(f"{house.internal}/metrics")).text
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1
    return int(float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1]))


async def test_who_comes_into_a_classroom_and_who_does_not(build, log, room, name):
    house = build(**audited(log))
    who = name("anna")
    signed = await sign_in(house, room, tokens.token(who))
    [line] = await log.has(what="sign_in", on="presence")
    assert (line["who"], line["target"], line["outcome"]) == (who, str(room), "done")
    assert line["from"] == signed.transport.get_extra_info("sockname")[0]
    stranger = await open_socket(house)
    stranger.send(connect_request(room, "not.a.token", "web"))
    [line] = await log.has(what="refusal", on="presence")
    assert (line["who"], line["outcome"], line["reason"]) == (None, "refused", "unauthenticated")
    await signed.leave()


async def test_acts_of_rest_with_who_did_them_and_what_came_of_it(build_lab, log, http, name):
    lab = await build_lab(**audited(log))
    house = lab.house
    person = await lab.person()
    [made] = [line for line in await log.has(what="user.made", on="labs") if line["target"] == person.user["id"]]
    assert made["who"] == lab.admin.user["id"] and made["outcome"] == "done"
    login = {"username": person.user["username"], "password": PASSWORD}
    assert (await http.post(f"{house.labs}/api/v1/auth/login", json=login)).status_code == 200
    [line] = await log.has(what="sign_in", on="labs", outcome="done")
    assert line["who"] == person.user["id"]
    wrong = secrets.token_hex(8)
    house.secrets.append(wrong)
    assert (await http.post(f"{house.labs}/api/v1/auth/login", json={**login, "password": wrong})).status_code == 401
    [line] = await log.has(what="sign_in", on="labs", outcome="refused")
    assert line["who"] == person.user["id"] and line["reason"].isupper()
    refused = await person.ask("GET", "/users")
    assert refused.status_code == 403
    [line] = [line for line in await log.has(what="refusal", on="labs") if line["who"]]
    assert line["who"] == person.user["id"]


async def test_acts_of_operators(build, log, http, name, room):
    house = build(**audited(log))
    assert (await http.post(f"{house.internal}/api/v1/control/kick", json={"user": "nobody-here"})).status_code == 200
    [line] = await log.has(what="kick", on="internal")
    assert (line["target"], line["outcome"], line["who"], line["from"]) == ("nobody-here", "done", None, "127.0.0.1")
    assert subprocess.run([BINARY, "ctl", "reload", "--config", str(house.config)], timeout=60).returncode == 0
    await log.has(what="reload", outcome="done")
    page = await http.post(f"{house.internal}/api/v1/control/drain", headers={"origin": "https://evil.example"})
    assert page.status_code == 403
    [line] = await log.has(what="drain", outcome="refused")
    assert line["reason"] == "no_page"


async def test_signals_and_orders_on_this_machine(build, log):
    house = build(**audited(log), stop={"drain": "1s"})
    house.signal(signal.SIGHUP)
    [line] = await log.has(what="reload", on="signal")
    assert (line["who"], line["outcome"], line["from"]) == ("signal", "done", None)
    good = house.config.read_text()
    house.config.write_text(good + '\n[nonsense]\nx = 1\n')
    house.signal(signal.SIGHUP)
    [line] = await log.has(what="reload", on="signal", outcome="failed")
    assert line["reason"] == "reload_refused"
    house.config.write_text(good)
    drain = subprocess.Popen([BINARY, "drain", "--config", str(house.config), "--lead", "5m"], stdout=subprocess.PIPE)
    [line] = await log.has(what="drain", on="control.sock")
    assert (line["who"], line["outcome"]) == (f"uid:{os.getuid()}", "done")
    again = await asyncio.to_thread(subprocess.run, [BINARY, "upgrade", "--config", str(house.config)], timeout=60)
    assert again.returncode == 1
    [line] = await log.has(what="upgrade", on="control.sock")
    assert (line["who"], line["outcome"], line["reason"]) == (f"uid:{os.getuid()}", "failed", "not_begun")
    house.signal(signal.SIGUSR2)
    await log.has(what="upgrade", on="signal", outcome="failed")
    house.signal(signal.SIGTERM)
    assert await asyncio.to_thread(house.process.wait, 60) == 0
    assert await asyncio.to_thread(drain.wait, 60) == 0
    [line] = await log.has(what="stop")
    assert (line["who"], line["on"], line["outcome"]) == ("signal", "signal", "done")


async def test_a_stop_by_an_operator_is_told_once(build, log):
    house = build(**audited(log))
    assert subprocess.run([BINARY, "ctl", "drain", "--config", str(house.config)], timeout=60).returncode == 0
    assert await asyncio.to_thread(house.process.wait, 60) == 0
    await log.has(what="drain", on="internal")
    assert not [line for line in log.lines() if line["what"] == "stop"], log.lines()


async def test_logrotate_moves_it_away_and_nothing_is_lost(build, log, http):
    house = build(**audited(log))
    kick = lambda user: http.post(f"{house.internal}/api/v1/control/kick", json={"user": user})  # noqa: E731
    await kick("one")
    await log.has(target="one")
    moved = Log(log.path.with_suffix(".log.1"))
    log.path.rename(moved.path)
    # The file is there before it is written to: only the end of the reading says that it is.
    await Reloads(house).read()
    await kick("two")
    await log.has(target="two")
    assert [line["target"] for line in moved.lines() + log.lines() if line["what"] == "kick"] == ["one", "two"]
    assert log.path.stat().st_mode & 0o777 == 0o600


async def test_it_may_be_turned_on_and_off_while_the_server_runs(build, log, http):
    house = build()
    at_first = house.config.read_text()
    kick = lambda user: http.post(f"{house.internal}/api/v1/control/kick", json={"user": user})  # noqa: E731
    reload = lambda: http.post(f"{house.internal}/api/v1/control/reload")  # noqa: E731
    await kick("before")
    house.config.write_text(at_first + f'\n[audit]\nfile = "{log.path}"\n')
    assert (await reload()).json()["changed"] == ["audit.file"]
    await kick("meanwhile")
    await log.has(target="meanwhile")
    house.config.write_text(at_first + '\n[audit]\nfile = "/nowhere/at/all"\n')
    refused = await reload()
    assert refused.status_code == 422 and "audit.file" in refused.text
    await kick("still")
    await log.has(target="still")
    house.config.write_text(at_first)
    assert (await reload()).status_code == 200
    await kick("after")
    assert await metric(house, http, "homeroom_audit_waiting") == 0
    assert [line["target"] for line in log.lines() if line["what"] == "kick"] == ["meanwhile", "still"]


async def test_a_full_disk_is_told_and_holds_nobody_up(build, log, http, room, name):
    log.path.symlink_to("/dev/full")
    house = build(**audited(log, log={"level": "info"}))
    who = await sign_in(house, room, tokens.token(name()))
    deadline = time.monotonic() + 60
    while not await metric(house, http, "homeroom_audit_failing"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert "the audit log cannot be written" in house.log.read_text()
    assert (await http.get(f"{house.internal}/readyz")).status_code == 200
    again = await sign_in(house, room, tokens.token(name()))
    # There is room again: what waited is there, in its order.
    log.path.unlink()
    house.signal(signal.SIGHUP)
    await log.has(2, what="sign_in", on="presence")
    await who.leave()
    await again.leave()


def test_a_file_that_cannot_be_opened_is_told_at_the_start(starts_not):
    said = starts_not(audit={"file": "/nowhere/at/all"})
    assert "audit.file" in said


async def test_no_secret_is_in_it(build_lab, log, http, room, name):
    lab = await build_lab(**audited(log))
    house = lab.house
    words = secrets.token_hex(12)
    person = await lab.person()
    for base in (house.url, house.quiz, house.labs, house.chat, house.internal):
        for path in ("/api/v1/auth/login", "/api/v1/auth/sign-in", f"/api/v1/users/{words}", "/console/sign-in"):
            body = {"username": words, "name": words, "email": f"{words}@x.example", "password": words}
            await http.post(f"{base}{path}", json=body, headers={"authorization": f"Bearer {words}"})
            await http.get(f"{base}{path}?token={words}", headers={"authorization": f"Bearer {words}"})
    upgrade = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13",
               "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    for url in (f"{house.quiz}/ws?token={words}", f"{house.chat}/ws?token={words}"):
        # On a connection of its own: one that REST has kept is none for sockets.
        async with httpx.AsyncClient(timeout=30, trust_env=False) as fresh:
            assert (await fresh.get(url, headers=upgrade)).status_code == 401
    stranger = await open_socket(house)
    stranger.send(connect_request(room, words, "web"))
    await log.has(what="refusal", on="presence")
    await log.has(what="refusal", on="quiz", reason="credential")
    await log.has(what="refusal", on="tasks", reason="bad_token")
    text = log.path.read_text()
    assert words not in text
    assert not [token for token in tokens.MINTED if token in text or token.rsplit(".", 1)[1] in text]
    assert person.user["id"] in text
