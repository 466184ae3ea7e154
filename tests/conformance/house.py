"""The server under test: its settings file, its process, its ports, its log."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx

import database
import postgres
import secure
import tokens

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("TESTS_BINARY", ROOT / "target/release/homeroom")).resolve()


class Failure(AssertionError):
    """The server did not do what every test needs of it."""


class Ports:
    """Free ports below the kernel's own range, another stretch for each parallel worker."""

    def __init__(self):
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
        self.at = int(os.environ.get("TESTS_PORTS", 20_000)) + 700 * int(worker.removeprefix("gw"))

    def free(self) -> int:
        """A port that nobody listens at."""
        while True:
            self.at += 1
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", self.at))
                    return self.at
                except OSError:
                    continue


PORTS = Ports()


def toml(value: dict, path: tuple = (), brackets: str = "[]") -> str:
    """A settings file of nested tables. Plain values come first, as TOML wants it; a JSON string, number or list is a TOML one. A list of
    tables has one after the other."""
    lists = {name: item for name, item in value.items() if isinstance(item, list) and item and isinstance(item[0], dict)}
    nested = {name: item for name, item in value.items() if isinstance(item, dict)}
    plain = [f"{name} = {json.dumps(item)}" for name, item in value.items() if name not in lists | nested]
    head = [brackets[0] + ".".join(json.dumps(part) for part in path) + brackets[1]] if path and (plain or brackets != "[]") else []
    tables = [toml(item, (*path, name)) for name, item in nested.items()]
    tables += [toml(item, (*path, name), ("[[", "]]")) for name, items in lists.items() for item in items]
    return "\n".join([*head, *plain, *tables]) + "\n"


def merged(base: dict, over: dict) -> dict:
    """`base` with `over` laid upon it, table by table; what is None there is not said at all."""
    both = dict(base)
    for name, item in over.items():
        both[name] = merged(both[name], item) if isinstance(item, dict) and isinstance(both.get(name), dict) else item
    return {name: item for name, item in both.items() if item is not None}


def files_of(files: secure.Files) -> dict:
    """The settings of TLS with these files."""
    return {"certificate": str(files.chain), "key": str(files.key)}


class House:
    """One server. `settings` are laid over those that every test shares."""

    def __init__(self, folder: Path, shards: int, permission_url: str, settings: dict | None = None):
        self.folder = folder
        self.shards = shards
        self.presence_port = PORTS.free()
        self.quiz_port = PORTS.free()
        self.chat_port = PORTS.free()
        self.internal_port = PORTS.free()
        self.labs_port = self.presence_port  # as is the default
        self.process: subprocess.Popen | None = None
        self.environment: dict[str, str] = {}  # of the process, beside what this one has
        self.log = folder / "log"
        self.config = folder / "homeroom.toml"
        self.database = (settings or {}).get("database")
        self.cluster = postgres.shared(PORTS.free) if database.KIND == "postgres" and not self.database else None
        self.database = self.database or (self.cluster.create() if self.cluster else "sqlite")
        self.binary = BINARY
        self.launcher: list[str] = []  # what starts it, where it does not start by itself
        self.descriptors: tuple[int, ...] = ()  # open in it
        self.secrets: list[str] = []  # what this server gave out or was given, and may never write into its log
        self.tls = (settings or {}).get("tls")
        self.scheme = "https" if self.tls else "http"
        keys = tokens.write_keys(folder)
        issuers = {
            issuer.name: {"audiences": tokens.AUDIENCES, "algorithm": algorithm, "key_file": str(keys[algorithm])}
            for algorithm, issuer in tokens.ISSUERS.items()
        }
        permissions = {
            tokens.OPEN: {"type": "none"},
            tokens.LISTED: {"type": "list", "accounts": tokens.LISTED_SUBJECTS},
            tokens.ASKED: {"type": "http", "url": permission_url, "timeout": "6s"},
        }
        shared = {
            "data_dir": str(folder / "data"),
            "database": self.database,
            "shards": shards,
            "stop": {"drain": "200ms"},
            "log": {"level": "debug,homeroom=trace"},
            "listen": {
                "presence": {"bind": f"127.0.0.1:{self.presence_port}"},
                "quiz": {"bind": f"127.0.0.1:{self.quiz_port}"},
                "chat": {"bind": f"127.0.0.1:{self.chat_port}"},
                "internal": {"bind": f"127.0.0.1:{self.internal_port}"},
            },
            "presence": {"issuers": issuers, "permissions": permissions},
            "labs": {f"{what}_a_minute": 1_000_000 for what in ("logins", "creations", "requests")},
            "test": {"endpoints": True},
        }
        if self.tls:
            shared["tls"] = self.tls
            for listener in shared["listen"].values():
                listener["tls"] = True
        self.config.write_text(toml(merged(shared, settings or {})))

    @property
    def url(self) -> str:
        """The presence listener."""
        return f"{self.scheme}://127.0.0.1:{self.presence_port}"

    @property
    def quiz(self) -> str:
        """The quiz listener."""
        return f"{self.scheme}://127.0.0.1:{self.quiz_port}"

    @property
    def labs(self) -> str:
        """The labs listener."""
        return f"{self.scheme}://127.0.0.1:{self.labs_port}"

    @property
    def chat(self) -> str:
        """The chat listener."""
        return f"{self.scheme}://127.0.0.1:{self.chat_port}"

    @property
    def internal(self) -> str:
        """The internal listener."""
        return f"{self.scheme}://127.0.0.1:{self.internal_port}"

    @property
    def sockets(self) -> str:
        """The scheme of its WebSockets."""
        return "wss" if self.tls else "ws"

    @property
    def context(self) -> ssl.SSLContext | None:
        """What a client needs that is no web client: it believes every certificate."""
        return ssl._create_unverified_context() if self.tls else None

    @property
    def two_shards(self) -> tuple[int, int]:
        """Where the two parties of a test sit: on different shards as soon as there are two."""
        return (0, 1) if self.shards > 1 else (0, 0)

    def start(self):
        """Starts the process and waits until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.launcher, self.binary, "serve", "--config", self.config], pass_fds=self.descriptors,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env={name: value for name, value in os.environ.items() if not name.startswith("HOMEROOM_")} | self.environment,
            )
        deadline = time.monotonic() + 60
        while not self._ready():
            if self.process.poll() is not None:
                raise Failure(f"the server ended with {self.process.returncode} at its start:\n{self.log.read_text()[-3000:]}")
            if time.monotonic() > deadline:
                self.kill()
                raise Failure(f"the server was not ready within 60 s:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def _ready(self) -> bool:
        try:
            ready = httpx.get(f"{self.internal}/readyz", timeout=10, trust_env=False, verify=False).status_code == 200
            return ready and httpx.get(f"{self.url}/healthz", timeout=10, trust_env=False, verify=False).status_code == 200
        except httpx.HTTPError:
            return False

    def signal(self, number: int = signal.SIGTERM):
        """A signal to the process."""
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL: nothing is tidied up."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM, then what every run must show: exit code 0, no panic and no secret in the log."""
        code = self.process.poll()
        if code is None:
            self.signal()
            try:
                code = self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Failure("the server did not end within 60 s of SIGTERM") from None
        self.check_log()
        if code not in (0, -signal.SIGKILL):
            raise Failure(f"the server ended with {code}:\n{self.log.read_text()[-3000:]}")

    def check_log(self):
        """No panic, and no secret (nor a token's signature alone) in what was logged so far."""
        log = self.log.read_text(errors="replace")
        if "panicked" in log:
            raise Failure(f"the server panicked:\n{log[-3000:]}")
        leaked = [token for token in tokens.MINTED if token in log or token.rsplit(".", 1)[1] in log]
        leaked += [secret for secret in self.secrets if secret in log]
        if leaked:
            raise Failure(f"{len(leaked)} secrets stand in the log")
