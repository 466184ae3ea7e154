"""PostgreSQL for tests: a cluster of this process with its own data folder and port, a database for each server."""

import atexit
import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pg8000.exceptions
import pg8000.native

USER = "superuser"
WAIT = 60  # seconds that PostgreSQL may take to begin, or to end


def program(name: str) -> str:
    """A program of PostgreSQL, of which Debian has only some in the path. Ends the test run where it is not installed."""
    found = shutil.which(name) or next(iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)
    assert found, f"there is no {name}: install PostgreSQL (Debian: postgresql)"
    return str(found)


def _nobody() -> pwd.struct_passwd | None:
    """Whom the programs run as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("there is neither a user postgres nor nobody, and PostgreSQL refuses root")


class Cluster:
    """A cluster, begun by `start`. With `durable` what is committed is on disk, as it is where it counts."""

    def __init__(self, port: int, durable: bool = True, **settings):
        self.port = port
        self.settings = {
            "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "max_connections": 100,
            "shared_buffers": "32MB", "fsync": "on" if durable else "off", "autovacuum": "off",
        } | settings
        self.owner = _nobody()
        self.folder = Path(tempfile.mkdtemp(prefix="homeroom-postgres-"))
        self.process: subprocess.Popen | None = None
        self.numbers = itertools.count(1)
        if self.owner:
            os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        made = self._run("initdb", "--pgdata", self.data, "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C",
                         "--no-sync")
        assert made.wait(WAIT) == 0, self.log.read_text()

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What its programs said."""
        return self.folder / "log"

    def admit(self, *lines: str):
        """Who is let in and how, before it is started: lines of pg_hba.conf in place of those that trust everybody."""
        (self.data / "pg_hba.conf").write_text("".join(f"{line}\n" for line in lines))

    def certify(self, certificate: Path, key: Path):
        """Speaks TLS with this certificate to whoever asks for it."""
        for file, name in ((certificate, "server.crt"), (key, "server.key")):
            shutil.copy(file, self.data / name)
            (self.data / name).chmod(0o600)
            if self.owner:
                os.chown(self.data / name, self.owner.pw_uid, self.owner.pw_gid)
        self.settings |= {"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}

    def _run(self, name: str, *arguments) -> subprocess.Popen:
        """A program that ends with this process, however that ends."""
        owner, prctl = self.owner, ctypes.CDLL(None).prctl

        def become():
            if owner:
                os.setgroups([])
                os.setgid(owner.pw_gid)
                os.setuid(owner.pw_uid)
            prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG

        with self.log.open("ab") as log:
            return subprocess.Popen(
                [program(name), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                preexec_fn=become, env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            )

    def start(self):
        """Begins, and returns when it answers."""
        settings = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        self.process = self._run("postgres", "-D", self.data, *settings)
        deadline = time.monotonic() + WAIT
        while True:
            try:
                self.connect("postgres").close()
                return
            except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError, OSError):
                assert self.process.poll() is None, self.log.read_text()[-3000:]
                assert time.monotonic() < deadline, self.log.read_text()[-3000:]
                time.sleep(0.05)

    def end(self, number: int = signal.SIGINT):
        """Ends it: SIGINT breaks every connection and tidies up, SIGQUIT leaves that to the next start."""
        self.process.send_signal(number)
        self.process.wait(WAIT)

    def remove(self):
        """Ends it where it still runs, and removes all of it."""
        if self.process and self.process.poll() is None:
            # At once: the end of a test run has no time for what nobody will read.
            self.end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, database: str) -> pg8000.native.Connection:
        """A connection to one of its databases."""
        return pg8000.native.Connection(USER, host="127.0.0.1", port=self.port, database=database, timeout=WAIT)

    def ask(self, statement: str, database: str = "postgres") -> list[tuple]:
        """The rows of one statement."""
        with contextlib.closing(self.connect(database)) as connection:
            return [tuple(row) for row in connection.run(statement) or []]

    def create(self, password: str | None = None) -> str:
        """A new database, and a user of the same name who owns it; its address, without the password."""
        name = f"homeroom_{next(self.numbers)}"
        quoted = "NULL" if password is None else "'" + password.replace("'", "''") + "'"
        self.ask(f"CREATE ROLE {name} LOGIN PASSWORD {quoted}")
        self.ask(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {name}")
        return f"postgres://{name}@127.0.0.1:{self.port}/{name}"


_shared: list[Cluster] = []


def shared(port) -> Cluster:
    """The cluster of this process, begun when it is first needed, at what `port` gives then. Nobody ends it in the middle, so it may be
    careless."""
    if not _shared:
        cluster = Cluster(port(), durable=False)
        atexit.register(cluster.remove)
        cluster.start()
        _shared.append(cluster)
    return _shared[0]
