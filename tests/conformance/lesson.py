"""A school at work, to be looked at: a server with students in classrooms, a quiz that runs, desktops, tasks and calls that wait.

    .venv/bin/python tests/conformance/lesson.py --students 300                      # until Ctrl-C; prints where the console is
    .venv/bin/python tests/conformance/lesson.py --students 300 --pictures FOLDER    # takes pictures of all views, and ends
    .venv/bin/python tests/conformance/lesson.py --pictures src/console/picture.png  # the one of README
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import httpx
import jwt

import chat
import labs
import quiz
import tasks
from client import Socket, sign_in
from house import House

NODE = Path(__file__).parent / "node"
PASSWORD = "correct horse battery"
BOSS = "boss"
FIRST = "Ada Ben Clara David Elif Felix Greta Hanna Ivan Jana Karim Lena Milan Nora Oskar Paula Quentin Rosa Samir Tilda Uwe Vera Wim Zoe"
LAST = "Adler Brandt Celik Dorn Ebert Fuchs Graf Haas Ito Jansen Keller Lang Maurer Novak Okafor Peters Quast Roth Sato Thal Unger Voss"
COUNTRIES = {
    "France": "Paris", "Italy": "Rome", "Norway": "Oslo", "Portugal": "Lisbon", "Austria": "Vienna", "Poland": "Warsaw", "Greece": "Athens",
    "Finland": "Helsinki", "Hungary": "Budapest", "Ireland": "Dublin", "Denmark": "Copenhagen", "Spain": "Madrid",
}
WORK = {
    "Summarise chapter 4": "/count 40", "Check the homework of 9b": "/count 120", "Plan the excursion": "/count 9000",
    "Translate the newsletter": "/count 5000", "Draw the water cycle": "/count 7000", "Sort the library's new books": "/count 20",
}


def names(count: int) -> list[str]:
    """So many people, none twice."""
    pairs = [f"{first} {last}" for last in LAST.split() for first in FIRST.split()]
    random.Random(7).shuffle(pairs)
    return [pairs[number % len(pairs)] + (f" {number // len(pairs) + 1}" if number >= len(pairs) else "") for number in range(count)]


class Lesson:
    """One school with so many students in its largest room, most of whom take a quiz."""

    def __init__(self, folder: Path, students: int, http: httpx.AsyncClient):
        self.names, self.http = names(students), http
        self.room = uuid.UUID("00000000-0000-4000-8000-00000000c1a5")
        own = {"presence": {"issuers": None, "permissions": None}, "stop": {"drain": "4s"}, "log": {"level": "info"}}
        own["models"] = [{"name": "gpt-4o", "pace": "40ms"}]
        self.house = House(folder, 2, "http://127.0.0.1:9", own)
        self.present: dict[str, Socket] = {}
        self.attempts: list[tuple[quiz.Attempt, random.Random]] = []
        self.places: dict[int, int] = {}

    async def begin(self):
        """All of it, one part after the other."""
        self.house.start()
        body = {"username": BOSS, "email": f"{BOSS}@example.com", "password": PASSWORD, "role": "admin"}
        for route, given in (("labs/users", body), ("owners", {"name": BOSS, "password": PASSWORD})):
            (await self.http.post(f"{self.house.internal}/api/v1/{route}", json=given)).raise_for_status()
        await self.people()
        await self.desktops()
        await self.work()
        await self.questions()

    def token(self, name: str) -> str:
        """Of presence, by the server's own key."""
        key = (self.house.folder / "data/keys/presence.hs256").read_bytes().strip()
        body = {"iss": quiz.ISSUER, "aud": quiz.AUDIENCE, "sub": name.lower().replace(" ", "-"), "exp": int(time.time()) + 12 * 3600}
        return jwt.encode(body, key, algorithm="HS256")

    async def enter(self, name: str):
        """Comes into the room."""
        label = "web" if hash(name) % 4 else "tablet"
        self.present[name] = await sign_in(self.house, self.room, self.token(name), label)

    async def people(self):
        """The room is filled, and two smaller ones."""
        for start in range(0, len(self.names), 100):
            await asyncio.gather(*(self.enter(name) for name in self.names[start:start + 100]))
        for room, count in ((uuid.uuid4(), 28), (uuid.uuid4(), 17)):
            guests = [f"guest {count} {number}" for number in range(count)]
            await asyncio.gather(*(sign_in(self.house, room, self.token(guest)) for guest in guests))

    async def questions(self):
        """A quiz that everybody begins, and of which the quick ones have answered most."""
        self.teacher = quiz.Owner(self.house, self.http, BOSS)
        cities = list(COUNTRIES.values())
        asked = [
            {
                "text": f"What is the capital of {country}?", "points": 10.0, "type": "multiple_choice", "correct": number % 4,
                "options": [cities[(number + place - number % 4) % len(cities)] for place in range(4)],
            }
            for number, country in enumerate(COUNTRIES)
        ]
        made = await self.teacher.quiz(asked, title="Capitals of Europe")
        self.quiz = made["id"]
        self.right = [one["correct"] for one in asked]
        dice = random.Random(11)
        for start in range(0, len(self.names), 40):
            some = self.names[start:start + 40]
            begun = await asyncio.gather(*(self.teacher.begin(self.quiz, alias=name) for name in some))
            self.attempts += [(attempt, random.Random(dice.random())) for attempt in begun]

    async def answer(self, place: int):
        """The next answer of one, right more often than not; who has answered all hands in."""
        attempt, dice = self.attempts[place]
        number = self.places.get(place, 0)
        if number > len(self.right):
            return
        self.places[place] = number + 1
        if number == len(self.right):
            await attempt.submit()
            return
        is_right = dice.random() < 0.9 - 0.05 * number
        await attempt.answer(number, self.right[number] if is_right else (self.right[number] + 1) % 4)
        if dice.random() < 0.004:
            await attempt.flag("tab_switch")

    async def desktops(self):
        """Three agents, and desktops in every state that they come to."""
        self.lab = await labs.Lab(self.house, self.http, lambda stem="student": f"{stem}-{uuid.uuid4().hex[:4]}").open()
        has = {"max_cpu": 64, "max_memory": 256}
        hosts = [
            await self.lab.joined(f"lab-host-{number}", "kubernetes", capacity=has | {"max_sessions": most})
            for number, most in ((1, 16), (2, 16), (3, 24))
        ]
        for host in hosts:
            host.spawn(host.beat(5))
        for number, name in enumerate(self.names[:24]):
            if number == 22:
                for host in hosts:
                    host.does["start_session"] = labs_fails
            made = await self.lab.admin.start(user=name.lower().replace(" ", "."), name=f"desktop-{number + 1:02}")
            if number < 22:
                await self.lab.admin.becomes(made["id"], "Running")
            if number % 6 == 4 and number < 22:
                await self.lab.admin.move(made["id"], "hibernated")

    async def work(self):
        """Tasks of every kind, and calls that wait for somebody."""
        answer = await self.http.post(f"{self.house.internal}/console/sign-in", json={"name": BOSS, "password": PASSWORD})
        token = answer.json()["tokens"]["chat"]["token"]
        boss = tasks.Person(self.house, self.http, BOSS, token)
        for place, (title, text) in enumerate(WORK.items()):
            agent = ("code-agent", "design-agent", "test-agent")[place % 3]
            await boss.good("POST", "/tasks", {"title": title, "task": text, "agent_id": agent})
        await boss.good("POST", "/tasks", {"title": "Sweep the yard", "task": "With a broom"})
        for name, call in zip(self.names[:3], ("3*4", "(18+24)/6", "17*23")):
            known = name.split()[0].lower()
            person = chat.Person(self.house, self.http, known, id=(await chat.user(self.house, self.http, known))["id"])
            session = await person.session(require_approval=True)
            await session.say(f"calculator {call}")
        mine = chat.Person(self.house, self.http, BOSS, token)
        await mine.session(title="Questions about chapter 4")

    async def goes_on(self):
        """Some come and go, and all answer, each at a pace of its own."""
        dice, count = random.Random(3), len(self.names)
        while True:
            await asyncio.sleep(0.25)
            name = dice.choice(self.names)
            if dice.random() < 0.35:
                if socket := self.present.pop(name, None):
                    socket.say_close()
                else:
                    await self.enter(name)
            quick = [place for place in range(count) if dice.random() < 0.006 * (0.4 + place % 7 / 6)]
            await asyncio.gather(*(self.answer(place) for place in quick[:40]))

    async def is_half_way(self):
        """The quiz is in its middle."""
        rounds = random.Random(5)
        for _ in range(5):
            for start in range(0, len(self.names), 40):
                batch = [place for place in range(start, min(start + 40, len(self.names))) if rounds.random() < 0.55 + place % 5 / 12]
                await asyncio.gather(*(self.answer(place) for place in batch))


async def labs_fails(agent, command):
    """A start that comes to nothing."""
    await agent.acknowledge(command)
    await agent.fail(command, "no memory is left")


async def run(given):
    """Fills a server, and either takes pictures or waits."""
    folder = Path(tempfile.mkdtemp(prefix="lesson-"))
    async with httpx.AsyncClient(timeout=60, trust_env=False, limits=httpx.Limits(max_connections=100)) as http:
        lesson = Lesson(folder, given.students, http)
        going = None
        try:
            await lesson.begin()
            await lesson.is_half_way()
            going = asyncio.create_task(lesson.goes_on())
            place = {"url": f"{lesson.house.internal}/console/", "name": BOSS, "password": PASSWORD}
            place |= {"room": str(lesson.room), "quiz": lesson.quiz}
            print(json.dumps(place), flush=True)
            if given.pictures:
                words = ["node", "pictures.mjs", json.dumps(place), str(given.pictures.resolve()), *given.views]
                assets = {"ASSETS": str(Path(os.environ["ASSETS"]).resolve())} if "ASSETS" in os.environ else {}
                taken = await asyncio.create_subprocess_exec(*words, cwd=NODE, env=os.environ | assets)
                assert await taken.wait() == 0, "no pictures"
            else:
                await going
        finally:
            if going:
                going.cancel()
            await lesson.lab.close()
            lesson.house.kill()
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--students", type=int, default=300)
    options.add_argument("--pictures", type=Path)
    options.add_argument("views", nargs="*")
    try:
        asyncio.run(run(options.parse_args()))
    except KeyboardInterrupt:
        pass
