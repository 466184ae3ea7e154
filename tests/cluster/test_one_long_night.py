"""Every fault, one after the other, while a school goes on: in the morning the records are held against what everybody was told."""

import asyncio
import time

import pytest

from crowd import crowd
from night import Night
from school import is_ready
from test_clock import library
from test_rolling import everybody_is_in, stopped

BACK = 15  # seconds after a fault within which all is as it was
STANDS_STILL = 45  # more of them, which a machine that is busy with other things may take


class Faults:
    """What is done to the school, for so many seconds each; whoever is to say that he is not ready says so. NATS and PostgreSQL end with
    the thread that began them, so that it must be this one."""

    def __init__(self, school, night, seconds: float):
        self.school, self.night, self.seconds = school, night, seconds

    async def killed(self):
        """A node, as by kill -9."""
        node = self.school.nodes[1]
        node.kill()
        await asyncio.sleep(self.seconds / 10)
        await asyncio.to_thread(node.start)

    async def without_nats(self):
        """NATS is gone and back."""
        self.school.nats.kill()
        await self.none_is_ready()
        await asyncio.sleep(self.seconds)
        self.school.nats.start()

    async def without_postgresql(self):
        """PostgreSQL is gone and back."""
        await asyncio.to_thread(self.school.database.end)
        await self.none_is_ready()
        await asyncio.sleep(self.seconds)
        self.school.database.start()

    async def postgresql_restarts_in_a_storm(self):
        """A mass of sign-ins, and in the middle of it PostgreSQL begins anew."""
        comers = self.night.works[0]

        async def comes(number: int):
            node = self.school.nodes[number % 3]
            sub = self.night.name("storm")
            try:
                if await comers.told_of(node, sub) == "":
                    raise AssertionError
            except (OSError, TimeoutError):
                return None
            return sub

        storm = [asyncio.create_task(comes(number)) for number in range(150)]
        await asyncio.sleep(0.1)
        await asyncio.to_thread(self.school.database.end)
        self.school.database.start()
        came = {sub for sub in await asyncio.gather(*storm) if sub} - {*comers.turned_away}
        comers.let_in.extend(came)

    async def cut_off(self):
        """A node hears neither NATS nor PostgreSQL: what goes through is dropped."""
        ways = [self.school.ways_to_nats[2], self.school.ways_to_database[2]]
        for way in ways:
            way.loses = True
        await self.soon(lambda: not is_ready(self.school.nodes[2]))
        await asyncio.sleep(self.seconds)
        for way in ways:
            way.loses = False
            way.cut()

    async def slow_postgresql(self):
        """Each question takes two seconds."""
        self.school.to_database.delay = 1.0  # each way
        await asyncio.sleep(self.seconds)
        self.school.to_database.delay = 0.0

    async def clock_ahead(self):
        """A node's clock is five minutes ahead."""
        await self.clock("+300")

    async def clock_behind(self):
        """A node's clock is five minutes behind."""
        await self.clock("-300")

    async def clock(self, offset: str):
        """A node's clock is so far off, for a while."""
        node = self.school.nodes[2]
        node.environment = {"LD_PRELOAD": library(), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        try:
            await self.restart(node)
            await asyncio.to_thread(self.school.is_whole)
            await asyncio.sleep(self.seconds / 3)
        finally:
            node.environment = {}
        await self.restart(node)

    async def rolling_restart(self):
        """Each node in turn, as by its operator."""
        for node in self.school.nodes:
            await self.restart(node)
            await asyncio.to_thread(self.school.is_whole)

    async def restart(self, node):
        """Stopped as asked, and begun."""
        await stopped(node)
        await asyncio.to_thread(node.start)

    async def none_is_ready(self):
        """Every node says no."""
        await self.soon(lambda: not any(map(is_ready, self.school.nodes)))

    async def soon(self, is_so):
        """Waits for it."""
        late = time.monotonic() + BACK + STANDS_STILL
        while not await asyncio.to_thread(is_so):
            assert time.monotonic() < late
            await asyncio.sleep(0.05)


ALL = [
    Faults.killed, Faults.without_nats, Faults.without_postgresql, Faults.postgresql_restarts_in_a_storm, Faults.cut_off,
    Faults.slow_postgresql, Faults.clock_ahead, Faults.clock_behind, Faults.rolling_restart,
]


@pytest.mark.skipif(library() is None, reason="there is no libfaketime (Debian: faketime)")
@pytest.mark.parametrize("seconds", [pytest.param(5, id="short"), pytest.param(30, marks=pytest.mark.long, id="long")])
async def test_what_everybody_was_told_is_in_the_records(school, http, room, name, stub, record_property, seconds):
    rooms = [type(room)(int=room.int + number) for number in range(4)]
    night = Night(school, http, name, stub)
    try:
        await night.begin()
        await asyncio.wait_for(night.goes_on(), 60)
        faults = Faults(school, night, seconds)
        async with crowd(school.nodes, rooms, name, 4) as (made, _):
            for fault in ALL:
                what = fault.__name__
                print(what, time.strftime("%X"), flush=True)
                await fault(faults)
                over = time.monotonic()
                await asyncio.to_thread(school.is_whole)
                await asyncio.wait_for(night.goes_on(), 120)
                await asyncio.wait_for(everybody_is_in(made), 120)
                back = round(time.monotonic() - over, 1)
                record_property(what, back)
                print(what, "back after", back, flush=True)
                assert back < BACK + STANDS_STILL, f"{what}: all is back {back} s after the fault"
            for own in rooms:
                rows = school.rows(own)
                assert len(rows) == 4 and {epoch for _, epoch in rows} <= school.epochs(), "who is in is in once"
        for work in night.works:
            record_property(type(work).__name__, (work.done, work.refused))
            print(type(work).__name__, work.done, work.refused, flush=True)
        await night.end()
    finally:
        await night.give_up()
