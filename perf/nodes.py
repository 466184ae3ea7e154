"""Three nodes on one machine against one: what crosses between them, and what NATS and PostgreSQL cost."""

import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from rig import Fault, Homeroom, Load, Run, Server, answers, drive, end, free_port, spawn, wait_for

USER = "superuser"
OWNER = "postgres"  # as whom Debian's PostgreSQL runs
NODES = 3


def program(name: str, *places: str) -> str:
    """One that Debian may have outside the usual path."""
    found = [*sorted(Path("/").glob(f"usr/lib/postgresql/*/bin/{name}"), reverse=True), *(Path(place) / name for place in places)]
    path = shutil.which(name) or next((str(path) for path in found if path.exists()), None)
    if path is None:
        raise Fault(f"there is no {name}")
    return path


def nobody() -> list[str]:
    """What goes before the programs of PostgreSQL, which refuses root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid", OWNER, "--regid", OWNER, "--clear-groups", "--pdeathsig", "KILL"]


class Beside:
    """PostgreSQL and nats-server, on the server's core."""

    def __init__(self, run: Run):
        self.folder, self.port, self.bus_port = Path(tempfile.mkdtemp(prefix="homeroom-perf-")), free_port(), free_port()
        # The key that every node believes lies here too.
        self.folder.chmod(0o755)
        base = self.folder / "base"
        base.mkdir()
        if rights := nobody():
            shutil.chown(base, OWNER, OWNER)
        made = [*rights, program("initdb"), "--pgdata", base / "data", "--username", USER, "--auth", "trust", "--encoding", "UTF8",
                "--locale", "C"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=base)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}", "-c", "unix_socket_directories=",
                    "-c", "max_connections=200"]
        self.database = spawn([*rights, program("postgres"), "-D", base / "data", *settings], run.server_core, cwd=base, **quiet)
        self.bus = spawn([program("nats-server", "/usr/sbin"), "-a", "127.0.0.1", "-p", str(self.bus_port)], run.server_core, **quiet)
        wait_for("PostgreSQL and NATS", 60, lambda: answers(self.port) and answers(self.bus_port))

    def url(self) -> str:
        """Of the database."""
        return f"postgres://{USER}@127.0.0.1:{self.port}/postgres"

    def close(self):
        """The end of both."""
        end(self.bus)
        end(self.database, kindly=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def family(pid: int) -> list[int]:
    """The process and those that it made."""
    pids = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                pids.append(int(stat.parent.name))
    return pids


def cpu_ns(pid: int) -> int:
    """What it and its children have taken so far, by the scheduler; children that have ended are not in it."""
    total = 0
    for own in family(pid):
        for task in Path(f"/proc/{own}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(task.read_text().split()[0])
    return total


class School:
    """So many nodes with a shard each, on one core; with `beside` on PostgreSQL, and with more than one over NATS."""

    def __init__(self, run: Run, nodes: int, beside: Beside | None):
        self.beside, self.stack = beside, contextlib.ExitStack()
        self.nodes: list[Homeroom] = []
        for number in range(nodes):
            flags = ["--presence.events", "false", "--presence.ping-interval", "1h"]
            if beside:
                flags += ["--database", beside.url(), "--store.node", f"node{number}"]
                flags += ["--cluster.servers", f"nats://127.0.0.1:{beside.bus_port}"]
            # The first node makes the keys; a token of its is good on all.
            keys = self.nodes[0].key.parent if number else None
            self.nodes.append(self.stack.enter_context(Homeroom(run, *flags, keys=keys)))
        for node in self.nodes if beside else []:
            wait_for("every node knows all", 60, lambda node=node: node.metrics().get("homeroom_cluster_nodes") == nodes)

    def parts(self) -> dict[str, list[int]]:
        """Whose CPU is told."""
        beside = {"NATS": [self.beside.bus.pid], "PostgreSQL": [self.beside.database.pid]} if self.beside else {}
        return {"nodes": [node.pid for node in self.nodes]} | beside

    def spent(self) -> dict[str, int]:
        """CPU so far, in nanoseconds, by part."""
        return {part: sum(map(cpu_ns, pids)) for part, pids in self.parts().items()}

    def during(self, work) -> tuple[dict, dict[str, int]]:
        """What the work found, and the CPU that each part took meanwhile."""
        before = self.spent()
        found = work()
        return found, {part: after - before[part] for part, after in self.spent().items()}


KINDS = {"one node, SQLite": (1, False), "one node, PostgreSQL": (1, True), "three nodes": (NODES, True)}


def paced(run: Run, school: School, members: int, rate: int) -> dict:
    """Members at the first node, publishes at the last, each at its moment."""
    first, last = school.nodes[0], school.nodes[-1]
    words = (f"127.0.0.1:{first.port}", members, rate, run.size(8, 2), f"127.0.0.1:{last.internal_port}")
    return drive(run, first.pid, "paced", *words, token=first.token("perf"))


def streamed(run: Run, school: School, members: int) -> dict:
    """Members at the first node, sixteen publishes in flight at the last."""
    first, last = school.nodes[0], school.nodes[-1]
    words = (f"127.0.0.1:{first.port}", members, 16, run.size(5, 1), f"127.0.0.1:{last.internal_port}")
    return drive(run, first.pid, "stream", *words, token=first.token("perf"))


def signed_in(run: Run, server: Server, students: int) -> dict:
    """Whole lives of a connection at the first node."""
    report = Load(run, server, "churn", "--students", students, "--classrooms", 500, "--in-flight", 256).wait(300)
    return {"operations": students, "per_second": report["rates"]["sign_ins_per_s"], "verdict": report["verdict"]["outcome"]}


def nodes(run: Run):
    """Three nodes against one: fan-out, sign-ins, the latency that crossing adds, and the CPU of NATS and PostgreSQL."""
    members, rate, students = run.size((200, 100, 40_000), (50, 20, 1_000))
    works = {
        "fan-out": lambda school: streamed(run, school, members * 5),
        "half load": lambda school: paced(run, school, members, rate),
        "sign-ins": lambda school: signed_in(run, school.nodes[0], students),
    }
    seen: dict[tuple[str, str], list[tuple[dict, dict]]] = {}
    for _ in run.times(5):
        # In turn within a round, so that each is compared with its neighbours.
        for kind, (count, shares) in KINDS.items():
            with contextlib.ExitStack() as stack:
                beside = stack.enter_context(contextlib.closing(Beside(run))) if shares else None
                school = School(run, count, beside)
                stack.enter_context(school.stack)
                for what, work in works.items():
                    wait_for("nobody is there", 30, lambda: school.nodes[0].live() == 0)
                    found, cpu = school.during(lambda: work(school))
                    seen.setdefault((kind, what), []).append((found, cpu))
                    run.note(kind=kind, what=what, found=found, cpu_ns=cpu)
    tell(run, seen)


def tell(run: Run, seen: dict):
    """The figures of all rounds."""
    for kind in KINDS:
        for what in ("fan-out", "sign-ins"):
            rounds = seen[kind, what]
            each = [sum(cpu.values()) / found["operations"] / 1e3 for found, cpu in rounds]
            run.figure(f"{what}, {kind}: CPU of one, all parts", "us", each)
            for part in rounds[0][1]:
                run.figure(f"{what}, {kind}: CPU of one, {part}", "us", [cpu[part] / found["operations"] / 1e3 for found, cpu in rounds])
        run.figure(f"sign-ins, {kind}: a second, by the wall", "/s", [found["per_second"] for found, _ in seen[kind, "sign-ins"]])
        run.figure(f"half load, {kind}: delivery p99", "ms", [found["p99_us"] / 1e3 for found, _ in seen[kind, "half load"]])
    alone = [found["p99_us"] for found, _ in seen["one node, PostgreSQL", "half load"]]
    three = [found["p99_us"] for found, _ in seen["three nodes", "half load"]]
    # Neighbours in time; the median decides.
    added = [(crossed - stayed) / 1e3 for crossed, stayed in zip(three, alone)]
    run.figure("half load: what crossing adds at p99", "ms", added, most=3)
    run.conditions["half load"] = f"median p99 of one node {statistics.median(alone):.0f} us"
