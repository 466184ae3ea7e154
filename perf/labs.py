"""What is measured of labs: tunnels beside other relays, keys and their echoes, logins beside those who are held."""

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from rig import ADMIN, BARE, MIB, SCRATCH, Fault, Homeroom, Load, Run, Server, answers, end, free_port, spawn, wait_for

WEBSOCKIFY = "websockify==0.13.0"
# One admin makes and deletes hundreds of sessions at once.
GENEROUS = [word for name in ("logins", "creations", "requests") for word in (f"--labs.{name}-a-minute", 1_000_000)]
TEMPLATE = "perf"


class Relay(Server):
    """The bare relay."""

    def __init__(self, run: Run):
        self.port = free_port()
        super().__init__(spawn([BARE, "relay", self.port, run.server_core], run.server_core))
        wait_for("the bare relay's start", 5, lambda: answers(self.port))

    def flags(self, _: str) -> list:
        return ["--between", "relay", "--url", f"http://127.0.0.1:{self.port}"]


class Websockify(Server):
    """What noVNC is mostly used with: a process that forks one for each viewer and connects to the screen by TCP."""

    def __init__(self, run: Run):
        self.port, self.screen = free_port(), f"127.0.0.1:{free_port()}"
        command = [installed(), f"127.0.0.1:{self.port}", self.screen]
        super().__init__(spawn(command, run.server_core, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_for("websockify's start", 20, lambda: answers(self.port))

    def flags(self, _: str) -> list:
        return ["--between", self.screen, "--url", f"ws://127.0.0.1:{self.port}/websockify"]


def installed() -> Path:
    """Its program, in an environment of its own beside the build. Its dependencies, numpy too, are what makes it fast."""
    folder = SCRATCH / "websockify"
    program = folder / "bin/websockify"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", WEBSOCKIFY], check=True)
    return program


@contextlib.contextmanager
def homeroom(run: Run, *flags, cores: set | None = None):
    """With a template, and limits that one client does not meet."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    config = SCRATCH / "labs.toml"
    config.write_text(f'[[labs.templates]]\nname = "{TEMPLATE}"\nbase_image = "none"\n')
    with Homeroom(run, "--config", config, *GENEROUS, *flags, cores=cores) as server:
        yield server


def lab(run: Run, server: Server, *flags, seconds: float = 300) -> dict:
    """One run of `homeroom-load lab`, which fails where a byte or a key is not where it should be."""
    return Load(run, server, "lab", "--template", TEMPLATE, *flags).wait(seconds)


# What is pushed, and what is wanted: of the bare relay, and how many times websockify.
PUSHED = {
    "one stream to a viewer": (("--sessions", 1, "--bulk", 1), 0.8, None),
    "one stream from a viewer": (("--sessions", 1, "--bulk", 1, "--direction", "up"), 0.8, 5),
    "16 streams of 4 agents": (("--sessions", 16, "--agents", 4, "--bulk", 16), None, None),
    "64 screens, 100 updates of 1,400 bytes a second each": (
        ("--sessions", 64, "--agents", 4, "--bulk", 64, "--chunk", 1_400, "--bulk-rate", 140_000), None, None,
    ),
}


def tunnel(run: Run):
    """Bytes through tunnels for each CPU second of the server, beside the bare relay and websockify, in turn."""
    seconds = run.size(5, 1)
    for what, (sizes, of_bare, of_websockify) in PUSHED.items():
        found = []
        for _ in run.times(5):
            one = {}
            for name, begin in (("bare", Relay), ("homeroom", homeroom), ("websockify", Websockify)):
                with begin(run) as server:
                    report = lab(run, server, *sizes, "--typists", 0, "--for", f"{seconds}s")
                stage = next(stage for stage in report["generator"] if stage["stage"] == "stream")["workers"][0]
                one[name] = {"per_cpu_second": report["server"]["bytes_per_cpu_second"], "per_second": report["rates"]["bytes_per_s"],
                             "bytes": report["lab"]["down_heard"] + report["lab"]["up_heard"],
                             "verdict": report["verdict"], "generator": stage}
            found.append(one)
            run.note(of=what, **one)
        for other, least in (("bare", of_bare), ("websockify", of_websockify)):
            ratios = [one["homeroom"]["per_cpu_second"] / one[other]["per_cpu_second"] for one in found]
            run.figure(f"{what}: homeroom of {other}, for each CPU second", "x", ratios, least=least)
        for name in ("homeroom", "bare", "websockify"):
            run.figure(f"{what}: {name}, for each CPU second", "MiB", [one[name]["per_cpu_second"] / MIB for one in found])
            run.figure(f"{what}: {name}, by the wall", "MiB/s", [one[name]["per_second"] / MIB for one in found])


def keystrokes(run: Run):
    """From a key's intended moment to its echo at the viewer while 1,000 sessions are watched and idle, beside the bare relay."""
    idle, typists, seconds = run.size(1_000, 50), 10, run.size(30, 3)
    sizes = ("--sessions", idle + typists, "--agents", 10, "--bulk", 0, "--typists", typists, "--key-rate", 20, "--for", f"{seconds}s",
             "--settle", run.size("5s", "500ms"))
    found = []
    for _ in run.times(5):
        one = {}
        for name, begin in (("bare", Relay), ("homeroom", homeroom)):
            with begin(run) as server:
                report = lab(run, server, *sizes)
            one[name] = {figure: value / 1e6 for figure, value in report["latencies"]["key"].items() if figure != "count"}
            one[name] |= {"cpu_us": report["server"]["cpu_us_per_key"], "verdict": report["verdict"], "keys": report["lab"]["keys_heard"],
                          "resident": report["server"]["samples"][-1]["resident_bytes"], "create_p99": p99(report, "create"),
                          "watch_p99": p99(report, "watch"), "lag_p99": p99(report, "lag")}
        found.append(one)
        run.note(**one)
    for figure in ("p99", "p50", "p999", "max"):
        run.figure(f"{idle:,} idle sessions: key to echo, {figure}", "ms", [one["homeroom"][figure] for one in found])
        run.figure(f"... through the bare relay, {figure}", "ms", [one["bare"][figure] for one in found])
    run.figure("added to the bare relay's p99", "ms", [one["homeroom"]["p99"] - one["bare"]["p99"] for one in found], most=1)
    run.figure("CPU of one key and its echo, with all that idles", "us", [one["homeroom"]["cpu_us"] for one in found])


def p99(report: dict, measure: str) -> float | None:
    """In ms, where it was measured."""
    figures = report["latencies"].get(measure)
    return figures and figures["p99"] / 1e6


class Logins:
    """People who sign in at a rate, each at the moment that was meant, whatever the server does."""

    THREADS = 16

    def __init__(self, server: Homeroom, rate: float, seconds: float):
        self.port, self.rate, self.count = server.port, rate, int(rate * seconds)
        password = server.admin().read_text().strip()
        self.body = json.dumps({"username": ADMIN, "password": password})
        self.start, self.took_ms, self.wrong = time.monotonic() + 0.2, [], []
        self.threads = [threading.Thread(target=self.sign_in, args=(first,)) for first in range(self.THREADS)]
        for thread in self.threads:
            thread.start()

    def sign_in(self, first: int):
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for number in range(first, self.count, self.THREADS):
            due = self.start + number / self.rate
            time.sleep(max(0, due - time.monotonic()))
            try:
                line.request("POST", "/api/v1/auth/login", self.body, {"Content-Type": "application/json"})
                answer = line.getresponse()
                answer.read()
            except OSError as fault:
                self.wrong.append(str(fault))
                line.close()
                continue
            if answer.status != 200:
                self.wrong.append(answer.status)
            self.took_ms.append((time.monotonic() - due) * 1e3)

    def all(self) -> list:
        """How long each took, in milliseconds."""
        for thread in self.threads:
            thread.join()
        if self.wrong or len(self.took_ms) != self.count:
            raise Fault(f"{len(self.wrong)} of {self.count} logins failed: {self.wrong[:5]}")
        return sorted(self.took_ms)


def logins(run: Run):
    """How far from their moments Pings come to 10,000 members who are held, without and with 50 logins a second."""
    held, rate, hold, every = run.size(10_000, 500), run.size(50, 5), run.size(60, 8), run.size(10, 2)
    # Passwords are hashed by threads of their own, so this server has both cores, the second beside the generator.
    cores = {run.server_core, run.client_core}
    flags = ("--presence.ping-interval", f"{every}s", "--presence.pong-timeout", f"{every / 2:.0f}s")
    for _ in run.times(3):
        pair = {}
        for name in ("without", "with"):
            with homeroom(run, *flags, cores=cores) as server:
                sizes = ("--students", held, "--classrooms", max(1, held // 30), "--rate", held / every)
                load = Load(run, server, "bell", *sizes, "--hold", f"{hold}s", "--pings-every", f"{every}s")
                try:
                    wait_for("the members", 60, lambda: server.live() == held or load.process.poll() is not None)
                    took = Logins(server, rate, hold - 2).all() if name == "with" else []
                    report = load.wait(hold + 60)
                finally:
                    end(load.process)
            off = {figure: value / 1e6 if figure != "count" else value for figure, value in report["latencies"]["jitter"].items()}
            pair[name] = {"off_ms": off, "verdict": report["verdict"], "faults": report["faults"], "lost": report["counts"]["lost"]}
            if took:
                p50, p99 = took[len(took) // 2], took[int(0.99 * len(took))]
                pair[name]["logins"] = {"count": len(took), "p50_ms": p50, "p99_ms": p99, "max_ms": took[-1]}
        run.note(**pair)
    off = [raw["with"]["off_ms"]["p99"] for raw in run.raw]
    run.figure(f"Pings of {held:,} off their moment with {rate} logins a second, p99", "ms", off, most=50)
    run.figure("... without, p99", "ms", [raw["without"]["off_ms"]["p99"] for raw in run.raw])
    for name in ("with", "without"):
        run.figure(f"... {name}, max", "ms", [raw[name]["off_ms"]["max"] for raw in run.raw])
    for figure in ("p50_ms", "p99_ms"):
        run.figure(f"a login, from its intended moment, {figure[:-3]}", "ms", [raw["with"]["logins"][figure] for raw in run.raw])
