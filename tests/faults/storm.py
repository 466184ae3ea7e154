"""Participants who answer as fast as the server lets them, in processes of their own, and remember what they were told.

`Storm` is the test's side. Run as a program, this file is one such process: it reads its order from standard input, a line of JSON, and
writes `begun` when its participants have begun, then, at the end, what it counted.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter

CONNECTIONS = 48  # of each process


class Storm:
    """Several processes at one quiz. Leaving the context kills those that are left."""

    def __init__(self, house, quiz: int, participants: int, seconds: float, processes: int = 2):
        order = {"port": house.quiz_port, "quiz": quiz, "participants": participants // processes, "seconds": seconds}
        command = [sys.executable, __file__]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.processes = [subprocess.Popen(command, **pipes) for _ in range(processes)]
        for number, process in enumerate(self.processes):
            process.stdin.write(json.dumps(order | {"address": f"127.0.0.{2 + number}"}) + "\n")
            process.stdin.flush()
        for process in self.processes:
            line = process.stdout.readline()
            assert line == "begun\n", line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()

    def end(self) -> dict:
        """Waits for the end. `attempts`: by session token its id, the ids of its questions and what was acknowledged (question to
        answer); `codes`: how often each code was heard; `longest`: the longest wait for an answer, in seconds."""
        told = {"attempts": {}, "codes": Counter(), "longest": 0.0}
        for process in self.processes:
            said = json.loads(process.stdout.readline())
            told["attempts"].update(said["attempts"])
            told["codes"].update(said["codes"])
            told["longest"] = max(told["longest"], said["longest"])
        return told


# --- a process of its own


class Asker:
    """One connection that is kept alive."""

    def __init__(self, order: dict):
        self.order = order

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.order["port"], local_addr=(self.order["address"], 0))

    async def post(self, path: str, body: dict) -> dict:
        """The answer's body, whichever its status."""
        content = json.dumps(body)
        head = f"POST /api/v1{path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(content)}\r\n\r\n"
        self.writer.write((head + content).encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return json.loads(await self.reader.readexactly(int(length.split(b":")[1])))


async def begin(asker: Asker, numbers, attempts: dict):
    """Begins attempts until there are no numbers left."""
    await asker.open()
    for number in numbers:
        data = (await asker.post(f"/quizzes/{asker.order['quiz']}/attempts", {"alias": f"P{number}"}))["data"]
        questions = [question["id"] for question in data["questions"]]
        attempts[data["session_token"]] = {"id": data["attempt_id"], "questions": questions, "acknowledged": {}}


async def answer(asker: Asker, work, said: dict, end: float):
    """Answers until the work is done, the time is over or the server is gone."""
    for session, question in work:
        began = time.monotonic()
        if began > end:
            return
        try:
            told = await asker.post(f"/attempts/{session}/answers", {"question_id": question, "answer": 1})
        except (OSError, asyncio.IncompleteReadError):
            said["codes"]["gone"] += 1
            return
        said["longest"] = max(said["longest"], time.monotonic() - began)
        said["codes"][told["code"]] += 1
        if told["code"] == "0000":
            said["attempts"][session]["acknowledged"][question] = told["data"]["answer_id"]


async def main():
    order = json.loads(sys.stdin.readline())
    said = {"attempts": {}, "codes": Counter(), "longest": 0.0}
    askers = [Asker(order) for _ in range(CONNECTIONS)]
    numbers = iter(range(order["participants"]))
    await asyncio.gather(*(begin(asker, numbers, said["attempts"]) for asker in askers))
    print("begun", flush=True)
    attempts = said["attempts"].items()
    rounds = range(len(next(iter(said["attempts"].values()))["questions"]))
    work = ((session, attempt["questions"][place]) for place in rounds for session, attempt in attempts)
    end = time.monotonic() + order["seconds"]
    await asyncio.gather(*(answer(asker, work, said, end) for asker in askers))
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
