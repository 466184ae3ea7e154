"""What each peer has to do in perf/compare, by the same clients and in the same way. perf/README.md explains each."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from rig import BARE, Fault, Load, Run, Server, drive, end, spawn

# Publishes a second at half load: half of what one core does for so many members with one frame a send, on the machine of the results.
HALF = {1_000: 120, 10_000: 8}
IN_FLIGHT = 16


@dataclass
class Scene:
    """One thing that is measured of every peer."""

    name: str
    # What the server is started for.
    kind: str
    title: str
    unit: str
    # Whether more is better.
    more: bool
    # How many, at full size and at the small one of --quick.
    sizes: tuple
    # What Homeroom must reach: so many times the best peer, so many times the bare server; above 1 Homeroom is better.
    least: float
    least_of_limit: float | None = None

    def take(self, run: Run, server: Server) -> dict:
        """The raw result, its figure as `value`."""
        return TAKERS[self.kind](run, server, run.size(*self.sizes))


def ways(server: Server) -> dict:
    """How the client meets this server in a room."""
    if server.key is None:
        return {}
    return {"token": server.token("perf"), "dialect": getattr(server, "dialect", "")}


def inside(server: Server) -> list:
    """Where events are published. Nothing: the bare server, by its own way."""
    if server.key is None:
        return []
    return [getattr(server, "internal_address", server.address)]


def fan_out(run: Run, server: Server, members: int) -> dict:
    """Sixteen publishes in flight, and a client that never sleeps, so that no server pays for waking it."""
    words = (server.address, members, IN_FLIGHT, run.size(4, 1), *inside(server))
    found = drive(run, server.pid, "stream-polled", *words, **ways(server))
    return found | {"value": found["operations"] / (found["cpu_ns"] / 1e9)}


def half(run: Run, server: Server, members: int) -> dict:
    """Publishes at their moments, at one rate for all. Who has something left when the next would be due has not kept it."""
    rate = HALF.get(members, 20)
    found = drive(run, server.pid, "paced", server.address, members, rate, run.size(6, 2), *inside(server), **ways(server))
    return found | {"rate": rate, "value": found["p99_us"] / 1e3, "kept": found["behind"] == 0}


def echo(run: Run, server: Server, connections: int) -> dict:
    """A message of 256 bytes under way on every connection."""
    path = [] if server.key is None else ["/echo"]
    found = drive(run, server.pid, "echo", server.address, connections, run.size(4, 1), *path)
    return found | {"value": found["operations"] / (found["cpu_ns"] / 1e9)}


def sign_ins(run: Run, server: Server, students: int) -> dict:
    """Whole lives of a connection, after some that warm up what compiles while it runs."""
    flags = ("--classrooms", 500, "--in-flight", 256)
    Load(run, server, "churn", "--students", students // 8, "--seed", 2, *flags).wait(120)
    report = Load(run, server, "churn", "--students", students, *flags).wait(240)
    cost = report["server"]["cpu_us_per_sign_in"]
    return {"cpu_us": cost, "per_second": report["rates"]["sign_ins_per_s"], "verdict": report["verdict"], "value": 1e6 / cost}


def footprint(pid: int) -> dict:
    """Bytes of a process: resident, resident in proportion to who else has the page, and of no file."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M)[1]) * 1024 for name in ("Rss", "Pss", "Anonymous")}


def memory(run: Run, server: Server, connections: int) -> dict:
    """The slope between a part of the connections and all of them, after the garbage was collected where there is some."""
    few, settle = connections * 5 // 18, run.size(4, 1)
    environment = {f"BARE_{name.upper()}": value for name, value in ways(server).items()}
    words = [BARE, "hold", server.address, run.client_core, "bare" if server.key is None else "contract"]
    seen = []
    process = spawn_talking(words, run.client_core, environment)
    try:
        for count in (few, connections):
            ask(process, count)
            time.sleep(settle)
            if hasattr(server, "collect"):
                server.collect()
            seen.append(footprint(server.pid))
        if process.poll() is not None:
            raise Fault("the connections did not hold")
    finally:
        end(process)
    slopes = {name: (seen[1][name] - seen[0][name]) / (connections - few) for name in seen[0]}
    return {"seen": seen, "slopes": slopes, "connections": [few, connections], "value": slopes["Rss"]}


def spawn_talking(words: list, core: int, environment: dict) -> subprocess.Popen:
    """A process whose standard input stays open."""
    return spawn(words, core, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def ask(process: subprocess.Popen, count: int):
    """Has so many connections opened. The client gives up by itself where a server does not answer: what it reads has a time-out."""
    try:
        process.stdin.write(f"{count}\n")
        process.stdin.flush()
        said = process.stdout.readline()
    except OSError as fault:
        raise Fault(f"{count} connections could not be opened") from fault
    if said.strip() != str(count):
        raise Fault(f"{count} connections could not be opened")


TAKERS = {"fan-out": fan_out, "half": half, "echo": echo, "sign-ins": sign_ins, "memory": memory}
SCENES = {scene.name: scene for scene in (
    Scene("fan-out-1000", "fan-out", "fan-out to 1,000, saturated: deliveries", "/CPU s", True, (1_000, 100), 1.0, 0.95),
    Scene("fan-out-10000", "fan-out", "fan-out to 10,000, saturated: deliveries", "/CPU s", True, (10_000, 500), 1.0, 0.95),
    Scene("half-1000", "half", "fan-out to 1,000, 120 publishes a second: late at p99", "ms", False, (1_000, 100), 1.0),
    Scene("half-10000", "half", "fan-out to 10,000, 8 publishes a second: late at p99", "ms", False, (10_000, 500), 1.0),
    Scene("echo", "echo", "echo of 256 bytes over 1,000", "/CPU s", True, (1_000, 100), 1.2),
    Scene("sign-ins", "sign-ins", "sign-ins", "/CPU s", True, (40_000, 2_000), 1.0),
    Scene("memory", "memory", "memory of an idle connection, 5,000 to 18,000", "bytes", False, (18_000, 1_800), 1.0),
)}
