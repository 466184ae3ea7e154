"""What operators do with a server that runs: `homeroom ctl`, and the routes behind it."""

import asyncio
import json
import os
import secrets
import subprocess
import time
import tomllib

import httpx

import tokens
from client import sign_in
from house import BINARY, PORTS, merged, toml

ABSENT, DENIED = 3, 4


def ctl(house, *arguments) -> subprocess.CompletedProcess:
    """One command, to its end, by the settings of this server."""
    return subprocess.run(
        [BINARY, "ctl", *arguments, "--config", str(house.config)], capture_output=True, text=True, timeout=60,
        env={name: value for name, value in os.environ.items() if not name.startswith("HOMEROOM_")},
    )


async def run(house, *arguments) -> subprocess.CompletedProcess:
    """The same, while the test hears its sockets."""
    return await asyncio.to_thread(ctl, house, *arguments)


async def closed(socket) -> int:
    """With which code it is closed, whatever is said before."""
    while (heard := await socket.next()).kind != "close":
        assert heard.kind == "text", heard
    return int.from_bytes(heard.data[:2], "big")


async def ended(socket) -> tuple[float, int]:
    """When it is closed, and with which code."""
    while (heard := await socket.next()).kind != "close":
        pass
    return heard.at, int.from_bytes(heard.data[:2], "big")


def change(house, **settings):
    """Writes the settings with these laid over them."""
    house.config.write_text(toml(merged(tomllib.loads(house.config.read_text()), settings)))


async def test_status_tells_people_and_programs(house, room, name):
    who = await sign_in(house, room, tokens.token(name()))
    told = await run(house, "status", "--json")
    assert told.returncode == 0, told.stderr
    status = json.loads(told.stdout)
    assert status["phase"] == "serving" and status["ready"] and status["reasons"] == [] and status["shards"] == house.shards
    assert status["sockets"]["presence"] >= 1 and status["members"] >= 1 and status["connections"] >= 1
    ready = await run(house, "status", "--ready")
    assert (ready.returncode, ready.stdout, ready.stderr) == (0, "", "")
    said = await run(house, "status")
    assert said.returncode == 0 and "is serving" in said.stdout and "ready        yes" in said.stdout
    await who.leave()


async def test_a_user_is_kicked_and_another_is_not(house, room, name):
    one, other = name("anna"), name("boris")
    first, second = house.two_shards
    kicked = [await sign_in(house, room, tokens.token(one), label, shard) for label, shard in (("web", first), ("phone", second))]
    stays = await sign_in(house, room, tokens.token(other))
    told = await run(house, "kick", "--user", one)
    assert (told.returncode, told.stdout) == (0, "2 connections are ended\n"), told.stderr
    assert [await closed(socket) for socket in kicked] == [1008, 1008]
    again = await run(house, "kick", "--user", one)
    assert (again.returncode, again.stdout) == (1, "nobody such is connected to this node\n")
    told = await run(house, "kick", "--classroom", str(room))
    assert told.returncode == 0 and "1 connection is ended" in told.stdout
    assert await closed(stays) == 1008


async def test_the_load_tells_shards_and_rooms_and_one_connection_is_kicked(house, http, room, name):
    who = await sign_in(house, room, tokens.token(name()))
    load = (await http.get(f"{house.internal}/api/v1/control/load?rooms=500")).json()
    assert [shard["shard"] for shard in load["shards"]] == list(range(house.shards))
    assert all(shard["worked_seconds"] > 0 and shard["turns"] > 0 for shard in load["shards"])
    assert {"classroom_id": str(room), "members": 1} in [
        {key: seen[key] for key in ("classroom_id", "members")} for seen in load["classrooms"]
    ]
    assert "1008" in load["closed"]
    refused = await run(house, "kick", "--connection", "nonsense")
    assert refused.returncode == 2 and "0:12.3" in refused.stderr
    nobody = await run(house, "kick", "--connection", "0:4000000.1")
    assert nobody.returncode == 1
    await who.leave()


async def test_reload_says_what_has_changed_or_why_nothing_was(build):
    house = build(log={"level": "info"})
    same = await run(house, "reload")
    assert (same.returncode, same.stdout) == (0, "read again; changed: nothing\n"), same.stderr
    change(house, log={"level": "debug"}, shards=house.shards + 1)
    told = await run(house, "reload")
    assert told.returncode == 0 and "changed: log.level" in told.stdout and "need a restart: shards" in told.stdout
    change(house, log={"level": "loud and clear"})
    refused = await run(house, "reload")
    # The command reads the same file to find the server, and says what is wrong with it; the server is asked by its address.
    assert refused.returncode == 2 and "log.level" in refused.stderr
    refused = subprocess.run([BINARY, "ctl", "reload", "--internal", house.internal], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "nothing was changed" in refused.stderr and "log.level" in refused.stderr


async def test_drain_stops_the_server_and_status_sees_it(build, room, name):
    house = build(stop={"drain": "120s"})
    who = await sign_in(house, room, tokens.token(name()))
    told = await run(house, "drain")
    assert told.returncode == 0 and "2 min 0 s" in told.stdout, told.stderr
    while "terminated" not in await who.text():
        pass
    again = await run(house, "drain")
    assert again.returncode == 1 and "stops already" in again.stderr
    status = await run(house, "status")
    assert status.returncode == 1 and "draining" in status.stdout and "no: stopping" in status.stdout
    ready = await run(house, "status", "--ready")
    assert (ready.returncode, ready.stdout) == (1, "") and ready.stderr.startswith("not ready: "), ready.stderr
    await who.leave()
    assert await asyncio.to_thread(house.process.wait, 60) == 0, "nobody is left: the drain is over"


async def test_a_stop_that_is_asked_for_twice_begins_once(build, http, room, name):
    house = build(stop={"drain": "120s"}, log={"level": "info"})
    who = await sign_in(house, room, tokens.token(name()))
    asked = [http.post(f"{house.internal}/api/v1/control/drain") for _ in range(8)]
    assert sorted(answer.status_code for answer in await asyncio.gather(*asked)) == [202] + [409] * 7
    # As an orchestrator does that has asked for the drain first: that goes on, and nobody is cut off.
    house.signal()
    deadline = time.monotonic() + 60
    while house.process.poll() is None and house.log.read_text().count("stopping drain_s=120") < 2:
        assert time.monotonic() < deadline, "the signal was not heard"
        await asyncio.sleep(0.02)
    status = await run(house, "status")
    assert status.returncode == 1 and "draining" in status.stdout, status.stderr
    await who.leave()
    assert await asyncio.to_thread(house.process.wait, 60) == 0


async def test_drain_over_a_time_lets_the_connected_go_one_by_one(build, http, name):
    house = build(stop={"drain": "500ms"})
    sockets = [await sign_in(house, f"{index:032x}", tokens.token(name())) for index in range(12)]
    for wrong in (["--lead", "1s"], ["--over", "soon"], ["--over", "25h"]):
        refused = await run(house, "drain", *wrong)
        assert refused.returncode == 2 and refused.stderr, wrong
    for body, status in (('{"over_seconds": -1}', 422), ('{"over": 1}', 422), ("soon", 400)):
        answer = await http.post(f"{house.internal}/api/v1/control/drain", content=body)
        assert answer.status_code == status and (status == 400 or "over_seconds" in answer.text), answer.text
    assert (await http.get(f"{house.internal}/readyz")).status_code == 200, "nothing has begun"
    told = await run(house, "drain", "--over", "4s", "--lead", "1s")
    assert told.returncode == 0 and "drains" in told.stdout, told.stderr
    assert (await http.get(f"{house.internal}/readyz")).status_code == 503
    again = await run(house, "drain", "--over", "1s")
    assert again.returncode == 1 and "stops already" in again.stderr
    heard = [await ended(socket) for socket in sockets]
    assert {code for _, code in heard} == {1012}
    times = sorted(at for at, _ in heard)
    assert times[-1] - times[0] >= 2, "one by one"
    assert await asyncio.to_thread(house.process.wait, 60) == 0


async def test_who_asks_in_vain_is_told_why(build):
    house = build()
    house.stop()
    gone = await run(house, "status")
    assert gone.returncode == ABSENT and "cannot be reached" in gone.stderr and "--internal" in gone.stderr
    assert (await run(house, "status", "--ready")).returncode == ABSENT
    elsewhere = await run(house, "status", "--internal", f"http://127.0.0.1:{PORTS.free()}")
    assert elsewhere.returncode == ABSENT


async def lab_of_operators(build_lab):
    """Labs where from now on operators alone may: who comes by a new connection is asked for a token."""
    lab = await build_lab()
    change(lab.house, control={"operators_only": True})
    told = await run(lab.house, "reload")
    assert told.returncode == 0 and "changed: control.operators_only" in told.stdout, told.stderr
    return lab


async def test_operators_alone_where_the_settings_say_so(build_lab, http, tmp_path):
    lab = await lab_of_operators(build_lab)
    house = lab.house
    refused = await run(house, "status")
    assert refused.returncode == DENIED and "--token-file" in refused.stderr
    assert (await run(house, "status", "--ready")).returncode == 0, "whether it is ready is no secret"
    file = tmp_path / "token"
    file.write_text("a.b.c")
    wrong = await run(house, "status", "--token-file", str(file))
    assert wrong.returncode == DENIED and "does not take this token" in wrong.stderr
    file.write_text(lab.admin.token + "\n")
    told = await run(house, "status", "--token-file", str(file))
    assert told.returncode == 0, told.stderr
    user = await lab.person()
    file.write_text(user.token)
    plain = await run(house, "kick", "--user", "x", "--token-file", str(file))
    assert plain.returncode == DENIED and "no operator" in plain.stderr
    page = await http.get(f"{house.internal}/api/v1/control/status", headers={"origin": "https://evil.example"})
    assert page.status_code == 403


async def test_nobody_makes_himself_an_operator_where_they_alone_may(build_lab, tmp_path, name):
    lab = await lab_of_operators(build_lab)
    house, users = lab.house, f"{lab.house.internal}/api/v1/labs/users"
    word = secrets.token_hex(16)
    house.secrets.append(word)
    new = {"username": name("eve"), "email": "eve@example.org", "password": word, "role": "admin"}
    person = await lab.person()
    owner, admin = {"name": name("eve"), "password": word}, f"{users}/{lab.admin.user['username']}"
    async with httpx.AsyncClient(timeout=30, trust_env=False) as fresh:
        for headers in ({}, {"authorization": "Bearer a.b.c"}, {"authorization": f"Bearer {person.token}"}):
            said = [
                await fresh.get(users, headers=headers),
                await fresh.post(users, json=new, headers=headers),
                await fresh.patch(admin, json={"password": word}, headers=headers),
                await fresh.post(f"{house.internal}/api/v1/owners", json=owner, headers=headers),
            ]
            assert [answer.status_code for answer in said] == [403] * 4
    command = [BINARY, "user", "list", "--config", str(house.config)]
    refused = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == DENIED and "--token-file" in refused.stderr, refused.stderr
    file = tmp_path / "token"
    file.write_text(lab.admin.token)
    command += ["--token-file", str(file)]
    listed = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert listed.returncode == 0 and person.user["username"] in listed.stdout, listed.stderr
