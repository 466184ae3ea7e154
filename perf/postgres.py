"""What PostgreSQL adds as the store: sign-ins a second, what they cost the server and the database, and how long they take at half that."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from rig import Fault, Homeroom, Load, Run, answers, free_port, spawn, wait_for

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def program(name: str) -> str:
    """A program of PostgreSQL, of which Debian has only some in the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if not found:
        raise Fault(f"there is no {name}: install PostgreSQL (Debian: postgresql)")
    return found


def somebody() -> list:
    """Before a command, where this is root, whom PostgreSQL refuses: runs it as somebody else."""
    if os.geteuid() != 0:
        return []
    names = {user.pw_name for user in pwd.getpwall()}
    name = next((name for name in ("postgres", "nobody") if name in names), None)
    if not name:
        raise Fault("there is neither a user postgres nor nobody, and PostgreSQL refuses root")
    return ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--clear-groups", "--pdeathsig=INT"]


class Postgres:
    """A PostgreSQL as `initdb` makes it, which keeps what it committed. Its processes have all cores."""

    def __init__(self):
        self.port = free_port()
        # On a disk, and below folders that everybody may enter: it is somebody else's.
        self.folder = Path(tempfile.mkdtemp(prefix="homeroom-perf-", dir="/var/tmp"))
        self.cores = os.sched_getaffinity(0)
        if somebody():
            owner = pwd.getpwnam(somebody()[1].split("=")[1])
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)

    def __enter__(self):
        data, log = self.folder / "data", (self.folder / "log").open("wb")
        made = [*somebody(), program("initdb"), "--pgdata", data, "--username", "homeroom", "--auth", "trust", "--locale", "C"]
        with log:
            outcome = subprocess.run(made, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
            if outcome.returncode != 0:
                raise Fault(f"initdb: {self.said()}")
            settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
            command = [*somebody(), program("postgres"), "-D", data]
            command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            self.process = spawn(command, self.cores, cwd=self.folder, stdout=log, stderr=log)
        ready = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_for("PostgreSQL's start", 60, lambda: self.runs() and answers(self.port) and subprocess.run(ready).returncode == 0)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def runs(self) -> bool:
        """Whether it is still there."""
        if self.process.poll() is not None:
            raise Fault(f"PostgreSQL ended: {self.said()}")
        return True

    def said(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text(errors="replace")[-1000:]

    def flags(self) -> list:
        """The server's way to it."""
        return ["--database", f"postgres://homeroom@127.0.0.1:{self.port}/postgres"]

    def cpu_s(self) -> float:
        """What its processes have used so far, those that have ended too."""
        used = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rsplit(")", 1)[1].split()
                is_first = int(stat.parent.name) == self.process.pid
                if is_first or int(fields[1]) == self.process.pid:
                    used += sum(map(int, fields[11:15 if is_first else 13]))
        return used * TICK_S


def signed_in(run: Run, store: str, scenario: str, *flags) -> dict:
    """One run of `homeroom-load` at a fresh server, with a fresh database where it is PostgreSQL."""
    with contextlib.ExitStack() as opened:
        database = opened.enter_context(Postgres()) if store == "postgres" else None
        server = opened.enter_context(Homeroom(run, *(database.flags() if database else ())))
        before = database.cpu_s() if database else 0.0
        report = Load(run, server, scenario, *flags).wait(300)
        wait_for("the last row", 60, lambda: server.metrics()["homeroom_store_overdue"] == 0)
        of_database = (database.cpu_s() if database else 0.0) - before
    count = report["counts"]["signed_in"]
    latency = {figure: value / 1e6 for figure, value in report["latencies"]["sign_in"].items() if figure != "count"}
    return {"store": store, "scenario": scenario, "per_second": report["rates"]["sign_ins_per_s"], "latency_ms": latency,
            "cpu_us": report["server"]["cpu_us_per_sign_in"], "database_cpu_us": 1e6 * of_database / max(count, 1),
            "verdict": report["verdict"], "counts": report["counts"]}


def postgres(run: Run):
    """Whole lives of a connection with PostgreSQL as the store, beside SQLite; then sign-ins at half the rate that is wanted."""
    lives = ("--students", run.size(100_000, 2_000), "--classrooms", 500, "--in-flight", 256)
    bell = ("--students", run.size(12_000, 500), "--classrooms", run.size(400, 16), "--rate", run.size(2_500, 250), "--hold", "1s")
    for _ in run.times(5):
        for store in ("sqlite", "postgres"):
            run.note(**signed_in(run, store, "churn", *lives))
        run.note(**signed_in(run, "postgres", "bell", *bell))

    def of(store: str, scenario: str) -> list:
        return [raw for raw in run.raw if (raw["store"], raw["scenario"]) == (store, scenario)]

    for store, name, least in (("postgres", "PostgreSQL", 5_000), ("sqlite", "SQLite", None)):
        found = of(store, "churn")
        run.figure(f"{name}: sign-ins a second, by the wall", "/s", [raw["per_second"] for raw in found], least=least)
        run.figure(f"{name}: the server's CPU of one", "us", [raw["cpu_us"] for raw in found])
        run.figure(f"{name}: a sign-in of 256 under way at p99", "ms", [raw["latency_ms"]["p99"] for raw in found])
    run.figure("PostgreSQL: its own CPU of one, with its end", "us", [raw["database_cpu_us"] for raw in of("postgres", "churn")])
    for figure in ("p50", "p99", "max"):
        rung = [raw["latency_ms"][figure] for raw in of("postgres", "bell")]
        run.figure(f"PostgreSQL: a sign-in of {bell[-3]:,} a second, {figure}", "ms", rung)
