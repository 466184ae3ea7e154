"""The upgrade: another process takes the sockets over, and with them those in classrooms."""

import asyncio
import json
import os
import signal

import quiz
import secure
import tokens
from client import open_socket, sign_in
from house import files_of
from test_attendance import now, settled
from test_drain import until_closed
from upgrading import SOON, fails_at_once, fails_later, replaceable, until


async def publish(house, room, number: int) -> int:
    """An event, by a connection of its own, which waits while nobody accepts. Returns to how many it was said."""
    body = json.dumps({"entity_type": "ban", "operation": "created", "payload": {"n": number}})
    reader, writer = await asyncio.open_connection("127.0.0.1", house.internal_port)
    head = f"POST /api/v1/classrooms/{room}/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    answer = await asyncio.wait_for(reader.read(), SOON)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])["members"]


def numbers(socket) -> list[int]:
    """Of the events that it has heard, in order."""
    said = [json.loads(heard.data) for heard in socket.everything if heard.kind == "text"]
    return [event["payload"]["n"] for event in said if "n" in event.get("payload", {})]


async def test_those_in_classrooms_notice_nothing(build, http, name, room, upgrade):
    house = build()
    shards = [*house.two_shards] * 10
    sockets = [await sign_in(house, room, tokens.token(name()), shard=shard) for shard in shards]
    unsigned = await open_socket(house)
    before = house.process.pid
    assert (house.folder / "data/control.sock").stat().st_mode & 0o777 == 0o600, "for its owner alone"
    numbered, is_over = [], asyncio.Event()

    async def speak():
        while not is_over.is_set():
            number = len(numbered)
            assert await publish(house, room, number) == len(sockets)
            numbered.append(number)

    speaker = asyncio.create_task(speak())
    await until(lambda: len(numbered) >= 20, "it does not publish")
    pid, code, said = await upgrade(house)
    assert code == 0 and pid != before, said
    assert await asyncio.to_thread(house.process.wait, SOON) == 0, "the former process ends well"
    at_upgrade = len(numbered)
    await until(lambda: len(numbered) >= at_upgrade + 20 or speaker.done(), "nobody publishes any more")
    is_over.set()
    await speaker
    for socket in sockets:
        await until(lambda: len(numbers(socket)) >= len(numbered), "a word is missing")  # noqa: B023
        assert numbers(socket) == numbered, "each once, and in order"
        assert not any(heard.kind in ("close", "end") for heard in socket.everything)
    # They are members as before: listed, told of, replaced.
    reader = {"authorization": f"Bearer {tokens.token('reader')}"}
    listed = (await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers=reader)).json()
    assert len(listed) == len(sockets)
    sockets[0].transport.abort()
    while True:
        heard = json.loads(await sockets[1].text())
        if heard.get("id", {}).get("operation") == "left":
            break
    unsigned.send(json.dumps({"type": "none"}))
    assert json.loads(await unsigned.text())["payload"]["type"] == "serialization_failed"
    house.check_log()


async def test_who_watches_or_takes_a_quiz_goes_on(build, http, name, upgrade):
    house = build()
    teacher = quiz.Owner(house, http, name("teacher"))
    made = await teacher.quiz()
    first, second = house.two_shards
    owner = await teacher.watch(f"quiz:{made['id']}", shard=first)
    attempt = await teacher.begin(made["id"])
    participant = await attempt.listen(second)
    await attempt.answer(0, 1)
    assert [frame["t"] for frame in await quiz.frames(owner, 2)] == ["attempt_quiz", "attempt_update"]
    _, code, said = await upgrade(house)
    assert code == 0, said
    await attempt.answer(1, True)
    await attempt.submit()
    heard = await quiz.frames(owner, 2)
    assert [(frame["t"], frame["data"]["answered_count"]) for frame in heard] == [("attempt_update", 2), ("attempt_finished", 2)]
    assert (await participant.json())["t"] == "attempt_closed"
    assert (await participant.next()).data[:2] == (1000).to_bytes(2, "big")


async def test_a_stay_goes_on_in_the_records(build, http, name, room, upgrade):
    """What is on disk of those who are there is the next process's own: it ends when they leave, and with that process."""
    house = build()
    since, subs = now(), [name(), name(), name()]
    stays, leaves, _ = [await sign_in(house, room, tokens.token(sub)) for sub in subs]
    before = await settled(house, http, room, since, lambda rows: len(rows) == 3)
    await upgrade.well(house)
    leaves.transport.abort()
    rows = await settled(house, http, room, since, lambda rows: sum(bool(row["left_at"]) for row in rows) == 1)
    assert [row["entered_at"] for row in rows] == [row["entered_at"] for row in before]
    assert [row["agent_id"] for row in rows if row["left_at"]] == [tokens.agent_id(subs[1])]
    assert not any(heard.kind in ("close", "end") for heard in stays.everything)
    upgrade.close()
    await asyncio.to_thread(house.start)
    rows = await settled(house, http, room, since, lambda rows: all(row["left_at"] for row in rows))
    assert [row["entered_at"] for row in rows] == [row["entered_at"] for row in before]


async def test_two_upgrades_in_turn_and_a_stop(build, name, room, upgrade):
    house = build(stop={"drain": "200ms"})
    socket = await sign_in(house, room, tokens.token(name()))
    first, code, said = await upgrade(house)
    assert code == 0, said
    second, code, said = await upgrade(house)
    assert code == 0 and first != second, said
    assert await publish(house, room, 1) == 1
    os.kill(second, signal.SIGTERM)
    told, _, data = await until_closed(socket)
    assert told and int.from_bytes(data[:2], "big") == 1012 and numbers(socket) == [1]


async def test_a_program_that_does_not_come_up_leaves_all_as_it_was(build, name, room, upgrade):
    house = build()
    program = await replaceable(house)
    socket = await sign_in(house, room, tokens.token(name()))
    fails_at_once(program)
    pid, code, said = await upgrade(house)
    assert (pid, code) == (0, 1) and "did not come so far" in said, said
    # By the signal the same: the log tells it.
    house.signal(signal.SIGUSR2)
    await until(lambda: "no upgrade: this process goes on" in house.log.read_text(), "the log says nothing")
    assert house.process.poll() is None
    assert await publish(house, room, 1) == 1
    await until(lambda: numbers(socket) == [1], "it is not heard")
    assert not any(heard.kind in ("close", "end") for heard in socket.everything)


async def test_a_program_that_fails_later_hands_back(build, name, room, upgrade):
    """The next process says that it is there, and then does not serve: the former program is started again with what is left."""
    house = build()
    program = await replaceable(house)
    socket = await sign_in(house, room, tokens.token(name()))
    fails_later(program, house)
    pid, code, said = await upgrade(house)
    assert code == 1 and pid and "did not come up" in said, said
    assert await publish(house, room, 1) == 1
    await until(lambda: numbers(socket) == [1], "it is not heard")
    assert not any(heard.kind in ("close", "end") for heard in socket.everything)


async def test_those_under_tls_are_told_to_come_back(tmp_path, build, name, room, upgrade):
    house = build(tls=files_of(secure.write(tmp_path)))
    socket = await sign_in(house, room, tokens.token(name()))
    pid, code, said = await upgrade(house)
    assert code == 0 and pid, said
    _, _, data = await until_closed(socket)
    assert int.from_bytes(data[:2], "big") == 1012 and data[2:].startswith(b"retry-after=")
    again = await sign_in(house, room, tokens.token(name()))
    assert again.everything
