"""People in rooms who come by a second connection before they lose the first, and somebody who talks to the rooms all the while."""

import asyncio
import contextlib
import itertools
import json
import random

import httpx

import tokens
from client import Socket, open_socket
from contract import SUCCESS, connect_request

AGAIN = 0.1  # seconds before another node is tried


class Pupil:
    """One who is in a room over some nodes. `fewest` is the smallest number of open connections since the first was in."""

    def __init__(self, nodes, room, sub: str):
        self.nodes, self.room, self.sub = nodes, room, sub
        self.open: set[Socket] = set()
        self.fewest: int | None = None
        self.heard: list[int] = []
        self.told: list[str] = []  # what ended connections, or kept them from being in
        self.tasks: set[asyncio.Task] = set()
        self.newest: Socket | None = None
        self.stops = False
        self.is_coming = False  # by a next connection, so that the end of one means nothing

    async def come(self, first: int):
        """Is in the room when this returns; the nodes are tried in turn, from this one on."""
        self.is_coming = True
        for turn in itertools.count(first):
            if await self._tries(turn % len(self.nodes)):
                self.is_coming = False
                return
            assert not self.stops
            await asyncio.sleep(AGAIN)

    async def _tries(self, index: int) -> bool:
        node = self.nodes[index]
        try:
            if (await _get(f"{node.internal}/readyz")) != 200:
                return False
            socket = await asyncio.wait_for(open_socket(node), 20)
        except (OSError, TimeoutError, AssertionError, httpx.HTTPError):
            return False
        self.open.add(socket)
        socket.send(connect_request(self.room, tokens.token(self.sub)))
        try:
            said = await socket.next(60)
        except AssertionError:
            said = None
        if said is None or said.kind != "text" or said.data.decode() != SUCCESS:
            self.told.append(str(said and said.data))
            self._ended(socket)
            socket.abort()
            return False
        self.newest, self.fewest = socket, len(self.open) if self.fewest is None else self.fewest
        self._spawn(self._listens(socket, index))
        return True

    def _spawn(self, coroutine):
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _ended(self, socket: Socket):
        self.open.discard(socket)
        if self.fewest is not None and not self.stops:
            self.fewest = min(self.fewest, len(self.open))

    async def _listens(self, socket: Socket, index: int):
        while (said := await socket.next(600)).kind == "text":
            text = json.loads(said.data)
            if text.get("type") == "recoverable_session_error":
                if not self.is_coming:
                    self._spawn(self.come(index + 1))
            elif "type" in text:
                self.told.append(text["payload"]["type"])
            elif text["id"]["entity_type"] == "load":
                self.heard.append(text["id"]["sequence_id"])
        self._ended(socket)
        socket.abort()
        if socket is self.newest and not self.is_coming and not self.stops:
            await self.come(index + 1)

    async def leave(self):
        """The end of it."""
        self.stops = True
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for socket in list(self.open):
            socket.abort()


class Talker:
    """Says something to each room in turn, as fast as it is answered, at whichever node is ready."""

    def __init__(self, nodes, rooms):
        self.nodes, self.rooms = nodes, rooms
        self.said: dict = {room: [] for room in rooms}  # what was answered, in order
        self.unsure: dict = {room: set() for room in rooms}
        self.stops = False
        self.ended = asyncio.Event()

    async def talk(self, pause: float = 0.01):
        """Until `stops`."""
        numbers = itertools.count(1)
        async with httpx.AsyncClient(timeout=60, trust_env=False, verify=False) as http:
            while not self.stops:
                room, number = random.choice(self.rooms), next(numbers)
                body = {"entity_type": "load", "operation": "tick", "payload": {}, "sequence_id": number}
                try:
                    node = await self._ready(http)
                    answer = await http.post(f"{node.internal}/api/v1/classrooms/{room}/events", json=body)
                    done = answer.status_code == 200
                except httpx.ConnectError:
                    continue  # nobody has heard it
                except httpx.HTTPError:
                    done = False
                (self.said[room].append if done else self.unsure[room].add)(number)
                await asyncio.sleep(pause)
        self.ended.set()

    async def _ready(self, http):
        while True:
            node = random.choice(self.nodes)
            try:
                if (await http.get(f"{node.internal}/readyz")).status_code == 200:
                    return node
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.02)


async def _get(url: str) -> int:
    async with httpx.AsyncClient(timeout=20, trust_env=False, verify=False) as http:
        return (await http.get(url)).status_code


@contextlib.asynccontextmanager
async def crowd(nodes, rooms, name, each: int):
    """So many in each room, all of them in, spread over the nodes; and who talks to them meanwhile."""
    made = [Pupil(nodes, room, name()) for room in rooms for _ in range(each)]
    talker = Talker(nodes, rooms)
    talking = None
    try:
        await asyncio.gather(*(pupil.come(index) for index, pupil in enumerate(made)))
        talking = asyncio.create_task(talker.talk())
        yield made, talker
        talker.stops = True
        await talking
    finally:
        if talking:
            talking.cancel()
        await asyncio.gather(*(pupil.leave() for pupil in made), *([talking] if talking else []), return_exceptions=True)


async def quiet(made: list[Pupil], talker: Talker, wait: float = 120):
    """Nobody talks any more. Waits until everybody has heard the last that was said in his room."""
    talker.stops = True
    await talker.ended.wait()
    deadline = asyncio.get_running_loop().time() + wait
    for pupil in made:
        last = talker.said[pupil.room][-1:]
        while last and last[0] not in pupil.heard:
            assert asyncio.get_running_loop().time() < deadline, f"{pupil.sub} has not heard {last} in {pupil.room}"
            await asyncio.sleep(0.05)
