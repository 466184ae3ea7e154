"""What goes wrong beside a day: crowds that are killed and come again, readers that do not read, storms, agents that die, SIGHUP."""

import json
import random
import signal
import subprocess
import tempfile
import threading
import urllib.request
from pathlib import Path

import rig

# A scenario that ends by itself: passed, or not believed since the machine was busy.
ENDED_WELL = (0, rig.NOT_BELIEVED)
# How often agents come again until their places are free.
COMINGS = 10
# SIGHUP's place in a mask of signals.
HANGUP = 1 << (signal.SIGHUP - 1)


class Trouble(threading.Thread):
    """One kind of fault, again and again until it is told to stop. What went wrong that should not is in `faults`."""

    def __init__(self, name: str, work):
        super().__init__(name=name, daemon=True)
        self.work, self.over = work, threading.Event()
        self.done, self.faults = 0, []

    def run(self):
        while not self.over.is_set():
            try:
                self.work(self)
                self.done += 1
            except (rig.Fault, OSError) as fault:
                self.faults.append(f"{self.name}: {fault}")
                self.over.wait(1)

    def pause(self, seconds: float) -> bool:
        """Whether there is more to do after it."""
        return not self.over.wait(seconds)

    def end(self):
        """Waits for the one that is under way."""
        self.over.set()
        self.join()


class Crowds:
    """The processes of all troubles. `seed`: when what happens."""

    def __init__(self, ground, server: rig.Homeroom, seed: int):
        self.ground, self.server, self.random = ground, server, random.Random(seed)
        self.kills = self.hangups = 0

    def spawn(self, scenario: str, *flags) -> subprocess.Popen:
        """homeroom-load, whose every connection dies with it."""
        command = [rig.LOAD, scenario, *self.server.flags(scenario), "--pid", self.server.pid, "--plain", *flags]
        return rig.spawn(command, self.ground.client_core, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def killed(self, scenario: str, *flags):
        """A crowd that is killed in its middle; the next call is its coming again."""

        def work(trouble: Trouble):
            process = self.spawn(scenario, *flags)
            trouble.pause(self.random.uniform(3, 8))
            early = process.poll()
            rig.end(process)
            if early is not None:
                raise rig.Fault(f"it was not there to be killed: it ended with {early}:\n{process.stdout.read()[-800:]}")
            self.kills += 1
            trouble.pause(self.random.uniform(0.2, 2))

        return Trouble(f"killed {scenario}", work)

    def ended(self, scenario: str, pause: float, *flags):
        """A crowd that makes trouble by itself and ends. What it finds wrong with gauges is not the server's: others are there too."""

        def work(trouble: Trouble):
            code, _, wrong = self.whole(scenario, *flags)
            if code not in ENDED_WELL and wrong:
                raise rig.Fault(f"it ended with {code}: {wrong}")
            trouble.pause(pause)

        return Trouble(scenario, work)

    def hangup(self, every: float):
        """SIGHUP: files are read again."""

        def work(trouble: Trouble):
            if trouble.pause(every):
                self.server.process.send_signal(signal.SIGHUP)
                self.hangups += 1

        return Trouble("SIGHUP", work)

    def beside_a_day(self) -> list:
        """All that goes on while a day does."""
        troubles = [
            self.killed("broadcast", "--students", 150, "--classrooms", 5, "--publish-rate", 10, "--for", "5m", "--seed", 101),
            self.killed("chat", "--sessions", 6, "--words", 60, "--messages", 50, "--every", "2s", "--seed", 102),
            self.killed("tasks", "--users", 6, "--rate", 2, "--for", "5m", "--seed", 103),
            self.ended("slow", 2, "--students", 40, "--classrooms", 2, "--share", 0.1, "--receive-buffer", 4096, "--bytes", 16384,
                       "--publish-rate", 20, "--before", "2s", "--for", "6s", "--seed", 104),
            self.ended("reconnect", 3, "--students", 150, "--classrooms", 6, "--seed", 105),
        ]
        return [*troubles, self.hangup(5)] if hears_hangup(self.server.pid) else troubles

    def agents_die(self):
        """Agents with desktops that somebody watches are killed; their sessions are ended without them, and they come again."""
        flags = ("--agents", 2, "--sessions", 2, "--typists", 1, "--bulk", 1, "--bulk-rate", 100_000, "--seed", 106)
        process = self.spawn("lab", *flags, "--for", "60s")
        try:
            rig.wait_for("desktops that are watched", 60, lambda: self.gauge("homeroom_labs_viewer_sockets") >= 2)
        except rig.Fault as fault:
            rig.end(process)
            raise rig.Fault(f"{fault}: {process.stdout.read()[-800:]}") from fault
        rig.end(process)
        self.kills += 1
        self.end_sessions()
        # Places of the old sessions are free only when their agents have heard of the end: who comes first may find none.
        for _ in range(COMINGS):
            again, said, wrong = self.whole("lab", *flags, "--for", "2s")
            if "AGENT_CAPACITY_EXCEEDED" not in said:
                break
            self.end_sessions()
        # The ends of the old sessions are told to those who came again.
        wrong = [fault for fault in wrong if not fault.startswith("stop_session at agents")]
        if again not in ENDED_WELL and wrong:
            raise rig.Fault(f"agents that came again ended with {again}: {wrong}")

    def whole(self, scenario: str, *flags) -> tuple:
        """A crowd up to its end: how that was, what it said, and what it found wrong."""
        with tempfile.TemporaryDirectory(dir=rig.SCRATCH) as folder:
            report = Path(folder) / "report.json"
            process = self.spawn(scenario, "--json", report, *flags)
            try:
                said, _ = process.communicate(timeout=240)
            except subprocess.TimeoutExpired as late:
                raise rig.Fault(f"{scenario}: no end within {late.timeout:.0f} s") from late
            finally:
                rig.end(process)
            wrong = failings(json.loads(report.read_text())) if report.exists() else [f"no report: {said[-800:]}"]
        return process.returncode, said, wrong

    def gauge(self, name: str) -> float:
        """Over all labels."""
        return self.server.metrics().get(name, 0)

    def end_sessions(self):
        """What a killed generator left: nobody else ends a session whose agent is away."""
        base = f"http://127.0.0.1:{self.server.port}/api/v1"
        login = {"username": rig.ADMIN, "password": self.server.admin().read_text().strip()}
        token = ask("POST", f"{base}/auth/login", None, login)["token"]
        while left := self.open_sessions(base, token):
            for session in left:
                ask("DELETE", f"{base}/sessions/{session}", token)

    @staticmethod
    def open_sessions(base: str, token: str) -> list:
        """Those that are not over and not on their way to it."""
        listed = ask("GET", f"{base}/sessions?limit=100", token)["sessions"]
        return [session["id"] for session in listed if session["state"] not in ("terminated", "terminating", "failed")]


def ask(method: str, url: str, token: str | None, body=None):
    """REST, with JSON either way."""
    head = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=data, headers=head, method=method)
    with opener.open(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def failings(report: dict) -> list:
    """What a report found wrong, but for the server's gauges, which count the others too, and for how late the generator was."""
    wrong = [f"{check['what']}: expected {check['expected']}, found {check['found']}" for check in report["checks"]
             if check["expected"] != check["found"] and not check["what"].startswith("the server's")]
    return wrong + [f"{kind}: {count}" for kind, count in sorted((report.get("faults") or {}).items()) if count]


def hears_hangup(pid: int) -> bool:
    """Whether the process catches SIGHUP: one that does not would die of it."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & HANGUP)
