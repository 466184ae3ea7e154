"""Nodes that are stopped and begun again, or killed, one after the other while people are in their rooms and services talk to them."""

import asyncio

import pytest

from crowd import crowd, quiet
from quiz import is_true_soon


async def stopped(node):
    """The node has ended, as one that is asked to."""
    node.signal()
    await asyncio.to_thread(node.process.wait, 120)
    assert node.process.returncode == 0


def heard_once(pupil, talker):
    """All that was answered in the time that he was there, in order; of the rest at most one each."""
    unsure = talker.unsure[pupil.room]
    assert [number for number in pupil.heard if number not in unsure] == talker.said[pupil.room], (pupil.sub, pupil.told)
    assert len({*pupil.heard}) == len(pupil.heard), (pupil.sub, pupil.told)


@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.long)])
async def test_a_rolling_restart_costs_nobody_his_connection_and_no_event(school, room, name, rounds):
    rooms = [type(room)(int=room.int + number) for number in range(6)]
    async with crowd(school.nodes, rooms, name, 6) as (made, talker):
        for node in school.nodes * rounds:
            await stopped(node)
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(school.is_whole)
        await quiet(made, talker)
        for pupil in made:
            assert pupil.fewest >= 1, (pupil.sub, pupil.told)
            heard_once(pupil, talker)
            assert set(pupil.told) <= {"replaced"}, pupil.told
        for own in rooms:
            assert len(school.rows(own)) == 6, "one row for each who is there"


async def everybody_is_in(made):
    """Each has a connection that is in, and is not on his way to another."""
    async def is_so():
        return all(pupil.newest in pupil.open and not pupil.is_coming for pupil in made)

    await is_true_soon(is_so, 120)


async def something_is_said(talker, rooms):
    """In each room, from now on."""
    before = {own: len(talker.said[own]) for own in rooms}

    async def is_so():
        return all(len(talker.said[own]) > before[own] for own in rooms)

    await is_true_soon(is_so, 120)


@pytest.mark.parametrize("rounds", [1, pytest.param(6, marks=pytest.mark.long)])
async def test_a_node_that_is_killed_under_load_costs_the_others_nothing(school, room, name, rounds):
    rooms = [type(room)(int=room.int + number) for number in range(6)]
    async with crowd(school.nodes, rooms, name, 6) as (made, talker):
        for turn in range(rounds):
            await everybody_is_in(made)
            node = school.nodes[(turn + 1) % 3]
            spared = [pupil for pupil in made if pupil.newest.transport.get_extra_info("peername")[1] != node.presence_port]
            told = {pupil.sub: len(pupil.told) for pupil in spared}
            before = {own: len(talker.said[own]) for own in rooms}
            await something_is_said(talker, rooms)
            node.kill()
            await asyncio.sleep(2)
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(school.is_whole)
            await something_is_said(talker, rooms)
            # Whoever was not on it has noticed nothing, and heard all.
            assert spared and all(len(pupil.told) == told[pupil.sub] for pupil in spared)
            for pupil in spared:
                said = talker.said[pupil.room][before[pupil.room]:]

                async def all_is_heard(pupil=pupil, said=said):
                    return set(said) <= {*pupil.heard}

                await is_true_soon(all_is_heard, 120)
        await everybody_is_in(made)
        await something_is_said(talker, rooms)
        await quiet(made, talker)
        for pupil in made:
            said = talker.said[pupil.room]
            sure = [number for number in pupil.heard if number not in talker.unsure[pupil.room]]
            assert set(sure) <= set(said), (pupil.sub, pupil.told)
            assert sure == [number for number in said if number in {*sure}], "once, and in order"
        for own in rooms:
            rows = school.rows(own)
            assert len(rows) == 6 and {epoch for _, epoch in rows} <= school.epochs(), "everybody is in again, once"
