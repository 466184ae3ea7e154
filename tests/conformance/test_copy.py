"""`homeroom copy`: a school moves from its folder into PostgreSQL, and goes on there."""

import asyncio
from datetime import UTC, datetime

import pytest

import database
import postgres
import tokens
from chat import Person
from client import sign_in
from house import PORTS
from quiz import CHOICE, Owner
from test_attendance import settled
from test_commands import run


pytestmark = database.only_postgres


@pytest.fixture(scope="module")
def cluster():
    """PostgreSQL, where it is installed."""
    try:
        postgres.program("initdb")
    except AssertionError as error:
        pytest.skip(str(error))
    return postgres.shared(PORTS.free)


async def test_a_school_moves_and_goes_on(cluster, build, http, room, name):
    house, start = build(database="sqlite"), datetime.now(UTC)
    teacher, anna = Owner(house, http, name("teacher")), Person(house, http, name("anna"))
    quiz = await teacher.quiz([CHOICE] * 3)
    done, running = [await teacher.begin(quiz["id"], alias=alias) for alias in ("Ada", "Bob")]
    await done.answer(0, 1)
    await running.answer(0, 0)
    await running.answer(0, 1)
    await done.submit()
    session = await anna.session()
    await session.say("2 + 2")
    await session.say("nothing: \0")
    sub = name("pupil")
    socket = await sign_in(house, room, tokens.token(sub))
    await socket.leave()
    came = await settled(house, http, room, start, lambda rows: len(rows) == 1 and rows[0]["left_at"])

    async def all_of_it():
        attempts = [await teacher.attempt(attempt.id) for attempt in (done, running)]
        return await teacher.attempts(), attempts, await session.messages(), await anna.get("/sessions/")

    before = await all_of_it()
    source, target = f"sqlite://{house.folder / 'data'}", cluster.create()
    served = run("copy", source, target)
    assert served.returncode == 1 and "already served" in served.stderr, served
    house.stop()
    rehearsed = run("copy", source, target, "--dry-run")
    assert rehearsed.returncode == 0 and "Nothing was changed" in rehearsed.stdout, rehearsed
    moved = run("copy", source, target)
    assert moved.returncode == 0 and moved.stdout.splitlines()[:-1] == rehearsed.stdout.splitlines()[:-1], moved
    counts = dict(line.split() for line in moved.stdout.splitlines()[:-1])
    assert (counts["quiz"], counts["attempt"], counts["chat_message"], counts["agent_session_history"]) == ("1", "2", "4", "1")
    again = run("copy", source, target)
    assert again.returncode == 1 and "not empty" in again.stderr, again

    house.config.write_text(house.config.read_text().replace('database = "sqlite"', f'database = "{target}"'))
    await asyncio.to_thread(house.start)
    assert await all_of_it() == before
    assert await settled(house, http, room, start, lambda rows: True) == came
    await running.submit()
    await session.say("2 + 3")
    assert len(await session.messages()) == 6
    assert (await teacher.quiz([CHOICE]))["id"] == quiz["id"] + 1


def test_only_a_folder_with_records_is_copied(cluster, tmp_path):
    for source, code, why in (
        (f"sqlite://{tmp_path}", 1, "no records"), (str(tmp_path), 2, "sqlite://FOLDER"), ("sqlite://", 2, "sqlite://FOLDER"),
    ):
        refused = run("copy", source, "postgres://nobody@127.0.0.1:1/nothing")
        assert refused.returncode == code and why in refused.stderr, refused
    assert not list(tmp_path.iterdir()), "nothing is made there"
