"""What every measurement stands on: the servers and generators as processes on their cores, and the run that keeps what was found."""

import base64
import contextlib
import ctypes
import datetime
import hashlib
import hmac
import json
import os
import platform
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOMEROOM = ROOT / "target/release/homeroom"
LOAD = ROOT / "target/release/homeroom-load"
BARE = ROOT / "perf/bare/target/release/bare"
# Beside the build: a temporary folder may be memory.
SCRATCH = ROOT / "target/perf"
ADMIN = "perf"
ISSUER, AUDIENCE = "homeroom.local", "school.local"
MIB = 1 << 20
# What homeroom-load ends with when it was itself the bottleneck.
NOT_BELIEVED = 3


class Fault(Exception):
    """A measurement that cannot be taken."""


def placeless(text) -> str:
    """In one line, and without the paths of this machine: what is kept in a result."""
    line = " ".join(str(text).split())
    for folder, name in ((f"{ROOT}/", ""), (f"{ROOT}", "."), (os.environ.get("HOME", "/").rstrip("/"), "~")):
        if folder:
            # Whole names alone: a home at /root has nothing to do with /rootless.
            line = re.sub(re.escape(folder) + ("" if folder.endswith("/") else r"(?![\w.-])"), name, line)
    return line


# --- processes


def free_port() -> int:
    """A port below the kernel's own range, so that no client's socket takes it meanwhile."""
    free_port.last = getattr(free_port, "last", 21_000 + os.getpid() % 7_000) + 1
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", free_port.last))
            return free_port.last
        except OSError:
            return free_port()


def spawn(command: list, core: int | set, **more) -> subprocess.Popen:
    """Starts a command on one core, or on several, in a process group of its own, with as many descriptors as are allowed. It dies with
    this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def settle():
        os.sched_setaffinity(0, {core} if isinstance(core, int) else core)
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    words = [str(word) for word in command]
    env = {name: value for name, value in os.environ.items() if not name.startswith("HOMEROOM_")} | more.pop("env", {})
    more.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(words, preexec_fn=settle, start_new_session=True, env=env, **more)


def end(process: subprocess.Popen, kindly: bool = False):
    """Ends a process that we started, and those that it started."""
    if process.poll() is None and kindly:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(what: str, seconds: float, true):
    """Until `true()`, looked at 20 times a second."""
    limit = time.monotonic() + seconds
    while not true():
        if time.monotonic() > limit:
            raise Fault(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class Server:
    """A process that serves, on one core."""

    # The file with the secret that signs tokens, where there is one.
    key: Path | None = None

    def __init__(self, process: subprocess.Popen):
        self.process, self.pid = process, process.pid

    def flags(self, scenario: str) -> list:
        """Where homeroom-load finds it."""
        raise NotImplementedError

    def resident(self) -> int:
        """VmRSS in bytes."""
        return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())[1]) * 1024

    def descriptors(self) -> int:
        """Open ones."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def token(self, subject: str) -> str:
        """A good one."""
        def part(value) -> str:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 86_400}
        text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
        secret = self.key.read_bytes().rstrip()
        return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256))}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process, kindly=True)


class Homeroom(Server):
    """Homeroom with one shard, unless the flags say how many, and its default settings, but for the flags given. `keys`: a folder of
    another server's keys, whose tokens are good here too."""

    def __init__(self, run: "Run", *flags, cores: set | None = None, keys: Path | None = None):
        self.port, self.internal_port, self.quiz_port, self.chat_port = (free_port() for _ in range(4))
        SCRATCH.mkdir(parents=True, exist_ok=True)
        self.folder = tempfile.TemporaryDirectory(dir=SCRATCH)
        data = Path(self.folder.name)
        if keys:
            shutil.copytree(keys, data / "data/keys")
        command = [
            HOMEROOM, "serve", "--data-dir", data / "data", *(() if "--shards" in flags else ("--shards", 1)), "--stop.drain", "100ms",
            "--listen.presence.bind", f"127.0.0.1:{self.port}", "--listen.internal.bind", f"127.0.0.1:{self.internal_port}",
            "--listen.quiz.bind", f"127.0.0.1:{self.quiz_port}", "--listen.chat.bind", f"127.0.0.1:{self.chat_port}", *flags,
        ]
        self.log = data / "log"
        super().__init__(spawn(command, cores or run.server_core, cwd=data, stdout=self.log.open("wb"), stderr=subprocess.STDOUT))
        try:
            self.settle(run, command, data)
        except BaseException:
            end(self.process)
            raise

    def settle(self, run: "Run", command: list, data: Path):
        """Once it runs: where it is found, and that it can be used."""
        run.conditions["server"] = " ".join(map(str, ["homeroom", *command[1:]])).replace(str(data), "DIR").replace(f"{ROOT}/", "")
        self.url, self.internal = f"ws://127.0.0.1:{self.port}/ws", f"http://127.0.0.1:{self.internal_port}"
        self.quiz_url = f"ws://127.0.0.1:{self.quiz_port}/ws"
        self.key, self.quiz_key = data / "data/keys/presence.hs256", data / "data/keys/quiz.hs256"
        # Of those who ask for tasks: nobody, unless a secret is configured.
        self.tasks_key = None
        try:
            wait_for("the server's start", 20, self.ready)
        except Fault as fault:
            raise Fault(f"{fault}\n{self.log.read_text(errors='replace')[-2000:]}") from fault

    def flags(self, scenario: str) -> list:
        """Where homeroom-load finds it, and what it signs in with."""
        internal = ["--internal", self.internal]
        if scenario == "lab":
            return ["--url", f"http://127.0.0.1:{self.port}", "--user", ADMIN, "--password", self.admin(), *internal]
        if scenario == "chat":
            return ["--url", f"http://127.0.0.1:{self.chat_port}", "--key", self.key.with_name("chat.hs256"), *internal]
        if scenario == "tasks":
            return ["--url", f"ws://127.0.0.1:{self.chat_port}/ws", "--key", self.tasks_key, *internal]
        url, key = (self.quiz_url, self.quiz_key) if scenario in ("quiz", "hold") else (self.url, self.key)
        return ["--url", url, "--key", key, *internal]

    def admin(self) -> Path:
        """An admin of labs, and the file with the password."""
        path = Path(self.folder.name) / "password"
        if not path.exists():
            path.write_text(base64.urlsafe_b64encode(os.urandom(18)).decode() + "\n")
            words = [HOMEROOM, "user", "add", ADMIN, "--role", "admin", "--internal", self.internal]
            made = subprocess.run(words, stdin=path.open(), capture_output=True, text=True)
            if made.returncode != 0:
                raise Fault(f"homeroom user: {made.stderr}")
        return path

    def ready(self) -> bool:
        """Whether it can be used."""
        if self.process.poll() is not None:
            raise Fault(f"the server ended with {self.process.returncode}")
        try:
            return self.fetch("/readyz") == "ok\n"
        except OSError:
            return False

    def fetch(self, path: str) -> str:
        """From the internal listener."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.internal + path, timeout=10) as answer:
            return answer.read().decode()

    def metrics(self) -> dict:
        """Each name, all its series added up."""
        sums = {}
        for line in self.fetch("/metrics").splitlines():
            if found := re.match(r"([a-z_]+)(?:\{[^}]*\})? ([0-9.]+)", line):
                sums[found[1]] = sums.get(found[1], 0) + float(found[2])
        return sums

    def live(self) -> int:
        """Signed-in connections."""
        return int(self.metrics()["ws_connection_total"])


class Load:
    """homeroom-load at work on a server."""

    def __init__(self, run: "Run", server: Server, scenario: str, *flags):
        SCRATCH.mkdir(parents=True, exist_ok=True)
        self.folder = tempfile.TemporaryDirectory(dir=SCRATCH)
        self.report = Path(self.folder.name) / "load.json"
        command = [LOAD, scenario, *server.flags(scenario), "--pid", server.pid, "--json", self.report, *flags]
        run.conditions["load"] = " ".join(map(str, ["homeroom-load", scenario, *flags]))
        self.process = spawn(command, run.client_core, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait(self, seconds: float, may_fail: tuple = ()) -> dict:
        """Its report. `may_fail`: checks that cannot hold in this measurement."""
        try:
            said, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            raise Fault(f"homeroom-load took more than {seconds} s") from late
        finally:
            end(self.process)
        if self.process.returncode not in (0, 1, NOT_BELIEVED) or not self.report.exists():
            raise Fault(f"homeroom-load ended with {self.process.returncode}:\n{said[-2000:]}")
        report = json.loads(self.report.read_text())
        for latency in report["latencies"].values():
            latency.pop("buckets", None)
        wrong = [reason for reason in report["verdict"]["reasons"] if not reason.startswith(may_fail)] if may_fail else None
        if report["verdict"]["outcome"] == "failed" and wrong != []:
            raise Fault(f"homeroom-load: {report['verdict']['reasons']} {report['faults']}")
        return report


def drive(run: "Run", pid: int, scenario: str, *words, token: str = "", dialect: str = "") -> dict:
    """Perf/bare's client. `dialect`: nchan's, in place of the contract's."""
    scenario_words = [BARE, "drive", scenario, words[0], run.client_core, pid, *words[1:]]
    process = spawn(scenario_words, run.client_core, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                    env={"BARE_TOKEN": token, "BARE_DIALECT": dialect})
    try:
        said, complaint = process.communicate(timeout=120)
    except subprocess.TimeoutExpired as late:
        raise Fault(f"bare drive {scenario}: no end") from late
    finally:
        end(process)
    if process.returncode != 0:
        raise Fault(f"bare drive {scenario}: {complaint}")
    return json.loads(said)


@contextlib.contextmanager
def bare(run: "Run"):
    """The yardstick."""
    port = free_port()
    with Server(spawn([BARE, "serve", port, run.server_core], run.server_core)) as server:
        server.address = f"127.0.0.1:{port}"
        wait_for("the bare server's start", 5, lambda: answers(port))
        yield server


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- results


class Run:
    """One measurement: its sizes, what it found, where that goes."""

    def __init__(self, name: str, arguments):
        self.name, self.quick, self.repeat = name, arguments.quick, arguments.repeat
        self.server_core, self.client_core = arguments.server_core, arguments.client_core
        self.raw, self.figures, self.conditions = [], [], conditions()
        self.began = time.monotonic()

    def size(self, full, quick):
        """The one that is asked for."""
        return quick if self.quick else full

    def times(self, full: int) -> range:
        """How often to repeat."""
        return range(self.repeat or self.size(full, 1))

    def note(self, **what):
        """One raw result."""
        self.raw.append(what)
        print("   ", json.dumps(what), flush=True)

    def figure(self, what: str, unit: str, values: list, most: float | None = None, least: float | None = None):
        """A result from several runs. The median is judged, where a bound is given."""
        median = statistics.median(values)
        holds = None if self.quick or most is least is None else (most is None or median <= most) and (least is None or median >= least)
        self.figures.append({
            "what": what, "unit": unit, "median": median, "min": min(values), "max": max(values), "runs": len(values),
            "most": most, "least": least, "holds": holds,
        })

    def text(self) -> str:
        """The summary."""
        lines = [f"{self.name}: {self.conditions['at']}, commit {self.conditions['commit']}, {time.monotonic() - self.began:.0f} s", ""]
        for figure in self.figures:
            bound = "" if figure["holds"] is None else f"   wanted {'<=' if figure['least'] is None else '>='} " \
                f"{shown(figure['most'] if figure['least'] is None else figure['least'])}: {'yes' if figure['holds'] else 'NO'}"
            spread = f"{shown(figure['min'])} to {shown(figure['max'])}, {figure['runs']} runs"
            lines.append(f"{figure['what']:<74} {shown(figure['median']):>10} {figure['unit']:<9} ({spread}){bound}")
        lines += ["", *(f"{name}: {value}" for name, value in self.conditions.items())]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path):
        """Both files."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.txt").write_text(self.text())
        whole = {"name": self.name, "quick": self.quick, "figures": self.figures, "conditions": self.conditions, "raw": self.raw}
        (folder / f"{self.name}.json").write_text(json.dumps(whole, indent=1) + "\n")


def shown(number: float) -> str:
    """Three digits, or whole."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def conditions() -> dict:
    """Where and how."""
    def read(path: str) -> str:
        try:
            return " ".join(Path(path).read_text().split())
        except OSError:
            return "?"

    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    def git(*words):
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()

    return {
        "at": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": (git("rev-parse", "--short", "HEAD") or "?") + ("+" if git("status", "--porcelain", "-uno") else ""),
        "machine": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "load before": read("/proc/loadavg"),
        "congestion control": read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "somaxconn": read("/proc/sys/net/core/somaxconn"),
        "ports": read("/proc/sys/net/ipv4/ip_local_port_range"),
        "tcp_mem": read("/proc/sys/net/ipv4/tcp_mem"),
        "descriptors": str(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
    }
