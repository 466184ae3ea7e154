"""A school's day after day: how long each part of one is, its run, and what is measured when everybody has gone."""

import json
import re
import subprocess
import time
from pathlib import Path

import crowds
import rig

# Rates are a second. What a laptop does beside the troubles without being late.
DAY = """[presence]
students = 240
classrooms = 12
bytes = 256
[quiz]
participants = 60
quizzes = 3
[chat]
sessions = 10
words = 30
pace = "40ms"
[tasks]
users = 10
sockets = 2
[labs]
agents = 2
sessions = 8
streams = 2
stream_bytes = 100000
[ramp]
lasting = "{ramp}s"
[steady]
lasting = "{steady}s"
publishes = 12
answers = 15
messages = 0.6
tasks = 2
keys = 12
[storm]
lasting = "{storm}s"
returns_within = "{returns}s"
publishes = 20
answers = 25
messages = 1
tasks = 3
keys = 20
[drain]
lasting = "{drain}s"
"""
# Gauges that are not zero when nobody is there: what the question itself takes, the last batch's, what is kept in memory for a while
# longer or for good. Their level is judged; all other gauges must be zero.
NOT_ZERO = {
    "homeroom_rest_connections", "homeroom_store_batch_size", "homeroom_store_batch_micros", "homeroom_timers", "homeroom_quizzes",
    "homeroom_labs_windows", "homeroom_labs_agents", "homeroom_labs_revoked", "homeroom_topics", "homeroom_chat_sessions",
    "homeroom_tasks_executions", "homeroom_tasks", "homeroom_live", "homeroom_ready",
}
# Of no use as a level: what the question itself takes, and the last batch's.
NO_LEVEL = {"homeroom_rest_connections", "homeroom_store_batch_size", "homeroom_store_batch_micros"}
# How long the last of those who were killed may take until all that they had begun is over.
REST_WITHIN = 60
# By phase, part and measure.
LATENCIES = [
    ("steady", "presence", "deliver"), ("storm", "presence", "enter"), ("steady", "quiz", "answer"), ("steady", "quiz", "screen"),
    ("steady", "chat", "reply"), ("steady", "tasks", "pending"), ("steady", "labs", "key"),
]


def profile(seconds: float) -> str:
    """A day that takes about so long, its beginning and end included."""
    working = max(8, round(seconds * 0.85))
    parts = {"ramp": working * 0.12, "steady": working * 0.48, "storm": working * 0.3, "returns": working * 0.12, "drain": working * 0.1}
    return DAY.format(**{name: max(1, round(length)) for name, length in parts.items()})


class Days:
    """Days on one server."""

    def __init__(self, ground, server: rig.Homeroom, seconds: float):
        self.ground, self.server, self.seconds = ground, server, seconds
        self.folder = Path(server.folder.name)
        self.profile = self.folder / "day.toml"
        self.profile.write_text(profile(seconds))
        server.admin()

    def flags(self) -> list:
        """Where each part finds the server, and what it signs in with."""
        server, http = self.server, f"http://127.0.0.1:{self.server.port}"
        chat = f"127.0.0.1:{server.chat_port}"
        return [
            "--presence-url", server.url, "--quiz-url", server.quiz_url, "--chat-url", f"http://{chat}", "--tasks-url", f"ws://{chat}/ws",
            "--labs-url", http, "--labs-user", rig.ADMIN, "--labs-password", server.admin(), "--presence-key", server.key,
            "--quiz-key", server.quiz_key, "--chat-key", server.key.with_name("chat.hs256"), "--tasks-key", server.tasks_key,
            "--internal", server.internal, "--pid", server.pid,
        ]

    def run(self, beside: list) -> dict:
        """One day with its troubles: what it reported, and what it found wrong."""
        report = self.folder / "day.json"
        report.unlink(missing_ok=True)
        # The same names each day: it is a school, not a town.
        command = [rig.LOAD, "mixed", "--profile", self.profile, *self.flags(), "--seed", 1, "--plain", "--json", report]
        process = rig.spawn(command, self.ground.client_core, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            for trouble in beside:
                trouble.start()
            said, _ = process.communicate(timeout=self.seconds * 4 + 180)
        finally:
            rig.end(process)
            for trouble in beside:
                trouble.end()
        if not report.exists():
            raise rig.Fault(f"a day ended with {process.returncode} and no report:\n{said[-1500:]}")
        found = json.loads(report.read_text())
        wrong = crowds.failings(found) if process.returncode not in crowds.ENDED_WELL else []
        return {
            "latencies": latencies(found), "lag_ms": found["latencies"]["lag"]["p99"] / 1e6,
            "wrong": wrong + [fault for trouble in beside for fault in trouble.faults],
        }

    def rest(self) -> dict:
        """What is there when nobody is: memory in MiB, descriptors, threads, gauges, seconds of CPU since the start. `not_over`: gauges
        that did not come back to zero."""
        until = time.monotonic() + REST_WITHIN
        while (left := busy(self.gauges())) and time.monotonic() < until:
            time.sleep(0.5)
        # What is given back is given back within a moment.
        time.sleep(1)
        return {
            "memory_mib": self.server.resident() / rig.MIB, "descriptors": self.server.descriptors(), "threads": self.threads(),
            "cpu_s": self.cpu(), "gauges": self.gauges(), "not_over": left, "records_mib": self.records(),
        }

    def gauges(self) -> dict:
        """As the server has them now."""
        return gauges(self.server.fetch("/metrics"))

    def threads(self) -> int:
        """Of the server."""
        return len(list(Path(f"/proc/{self.server.pid}/task").iterdir()))

    def cpu(self) -> float:
        """Seconds that the server has worked, in user space and in the kernel's."""
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def records(self) -> float:
        """What is kept on disk."""
        return sum(path.stat().st_size for path in (self.folder / "data").glob("homeroom.db*")) / rig.MIB


def gauges(page: str) -> dict:
    """All in the text of the metrics, over shards and labels; but for what is said of the process: the kernel is asked for that."""
    sums, names = {}, set(re.findall(r"^# TYPE (\S+) gauge$", page, re.M))
    for name, value in re.findall(r"^([a-z_]+)(?:\{[^}]*\})? ([0-9.]+)$", page, re.M):
        if name in names and not name.startswith("process_"):
            sums[name] = sums.get(name, 0) + float(value)
    return sums


def busy(found: dict) -> dict:
    """Those that are not at rest."""
    return {name: value for name, value in found.items() if value and name not in NOT_ZERO}


def latencies(report: dict) -> dict:
    """Milliseconds: {name: {p50, p99}}."""
    found = {}
    for phase, part, measure in LATENCIES:
        if figures := report["phases"].get(phase, {}).get(part, {}).get(measure):
            found[f"{phase}.{part}.{measure}"] = {quantile: figures[quantile] / 1e6 for quantile in ("p50", "p99")}
    return found
