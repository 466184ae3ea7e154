"""`homeroom top`: on a terminal, as text, as JSON."""

import asyncio
import json
import os
import re
import signal
import subprocess

import tokens
from client import sign_in
from house import BINARY, PORTS
from terminal import Terminal
from test_control import lab_of_operators

ABSENT, DENIED = 3, 4


def command(house, *arguments) -> list:
    """The command, by the settings of this server."""
    return [BINARY, "top", "--config", str(house.config), *arguments]


async def run(house, *arguments, **environment) -> subprocess.CompletedProcess:
    """It, to its end, where there is no terminal."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("HOMEROOM_", "COLUMNS"))}
    return await asyncio.to_thread(
        subprocess.run, command(house, *arguments), capture_output=True, text=True, timeout=60, env=plain | environment,
    )


async def test_one_picture_is_told_as_text_with_the_rates_of_meanwhile(house, http, room, name):
    who = [await sign_in(house, room, tokens.token(name())) for _ in range(2)]
    over = asyncio.Event()

    async def publish():
        event = {"entity_type": "note", "operation": "created", "payload": {}}
        while not over.is_set():
            told = await http.post(f"{house.internal}/api/v1/classrooms/{room}/events", json=event)
            assert told.status_code < 300, told.text
            await asyncio.sleep(0.02)

    meanwhile = asyncio.create_task(publish())
    # It is no terminal: nobody has to say so.
    told = await run(house, "--every", "1s", COLUMNS="120")
    as_json = await run(house, "--json", "--every", "1s")
    over.set()
    await meanwhile
    assert told.returncode == 0 and as_json.returncode == 0, told.stderr + as_json.stderr
    lines = told.stdout.splitlines()
    assert "\x1b" not in told.stdout and max(map(len, lines)) <= 120, told.stdout
    assert "serving, ready, up" in lines[0] and house.internal in lines[0]
    [titles] = [line for line in lines if "deliv/s" in line]
    numbers = {line.split()[0] for line in lines[lines.index(titles) + 1:] if re.match(r"[ !][\d ]*\S+ +\S+%", line)}
    assert {str(shard) for shard in range(house.shards)} <= numbers, told.stdout
    assert [line for line in lines if str(room) in line and float(line.split()[-1].replace(",", "")) > 0], told.stdout
    picture = json.loads(as_json.stdout)
    assert picture["status"]["ready"] and picture["rates"]["over_seconds"] >= 0.9
    assert sum(shard["delivered"] for shard in picture["rates"]["shards"]) > 0
    assert [shard["shard"] for shard in picture["load"]["shards"]] == list(range(house.shards))
    for one in who:
        await one.leave()


async def test_who_looks_in_vain_is_told_why(build, build_lab, tmp_path):
    house = build()
    elsewhere = await run(house, "--internal", f"http://127.0.0.1:{PORTS.free()}", "--once")
    assert elsewhere.returncode == ABSENT and "cannot be reached" in elsewhere.stderr and not elsewhere.stdout
    for wrong in (["--every", "1ms"], ["--every", "often"]):
        assert (await run(house, *wrong)).returncode == 2
    lab = await lab_of_operators(build_lab)
    refused = await run(lab.house, "--json")
    assert refused.returncode == DENIED and "--token-file" in refused.stderr
    file = tmp_path / "token"
    file.write_text(lab.admin.token + "\n")
    told = await run(lab.house, "--json", "--every", "100ms", "--token-file", str(file))
    assert told.returncode == 0 and json.loads(told.stdout)["status"]["ready"], told.stderr
    # On a terminal too: a token that is missing does not come by itself.
    with Terminal(command(lab.house)) as terminal:
        assert await asyncio.to_thread(terminal.ends) == DENIED
        assert terminal.is_restored() and b"--token-file" in terminal.heard


async def test_a_terminal_shows_shards_and_keys_do_what_they_say(house, room, name):
    who = await sign_in(house, room, tokens.token(name()))
    with Terminal(command(house, "--every", "200ms"), NO_COLOR="1") as terminal:
        shown = await asyncio.to_thread(terminal.shows, "deliv/s", str(room), "q ends", "ready", "%")
        shard = [line for line in shown.splitlines() if re.match(r"[ !]0 +\S+% +\d", line)]
        assert len(shard) == 1, shown
        terminal.press("?")
        await asyncio.to_thread(terminal.shows, "any key goes back", "published frames that reached a socket")
        terminal.press("x")
        await asyncio.to_thread(terminal.shows, "any key goes back", gone=True)
        terminal.press("2")
        await asyncio.to_thread(terminal.shows, "▸classroom", "by frames/s ▼")
        terminal.press("z")
        await asyncio.to_thread(terminal.shows, "deliv/s", gone=True)
        terminal.press(" ")
        await asyncio.to_thread(terminal.shows, "HELD")
        terminal.press("q")
        assert await asyncio.to_thread(terminal.ends) == 0
        assert terminal.is_restored()
        # Bold, dim and reversed, and no colour.
        assert not re.search(rb"\x1b\[[\d;]*(?:3[0-7]|9[0-7]|38;\d)[\d;]*m", terminal.heard)
    await who.leave()


async def test_it_goes_on_asking_a_server_that_is_away_and_leaves_the_terminal_as_it_was(build):
    house = build()
    with Terminal(command(house, "--every", "200ms"), columns=100) as terminal:
        await asyncio.to_thread(terminal.shows, "ready", "deliv/s")
        house.kill()
        await asyncio.to_thread(terminal.shows, "NO ANSWER", "cannot be reached", "deliv/s")
        await asyncio.to_thread(house.start)
        await asyncio.to_thread(terminal.shows, "NO ANSWER", gone=True)
        terminal.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(terminal.ends) == -signal.SIGTERM
        assert terminal.is_restored()
    house.stop()
    with Terminal(command(house)) as terminal:
        await asyncio.to_thread(terminal.shows, "NO ANSWER", "cannot be reached")
        terminal.press("\x03")
        assert await asyncio.to_thread(terminal.ends) == -signal.SIGINT
        assert terminal.is_restored()
