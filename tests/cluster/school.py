"""A school on several nodes: NATS, PostgreSQL and homeroom nodes on loopback, each of which can be killed, held and begun again."""

import shutil
import time
from pathlib import Path

import httpx

import postgres
from house import PORTS, House
from nats import Nats
from proxy import Proxy

LEASE = 3  # seconds: of nodes in tests
WAIT = 120  # seconds that anything may take that is not timed


def until(what: str, is_so, wait: float = WAIT):
    """Waits for a condition; its value."""
    deadline = time.monotonic() + wait
    while not (value := is_so()):
        assert time.monotonic() < deadline, f"not within {wait} s: {what}"
        time.sleep(0.05)
    return value


class School:
    """NATS and PostgreSQL behind a proxy each, and a node for each number of shards."""

    def __init__(self, folder: Path, permission_url: str, shards: list[int]):
        self.folder = folder
        self.permission_url = permission_url
        self.shards = shards
        self.database = postgres.Cluster(PORTS.free(), durable=False)
        self.nats = Nats(folder, PORTS.free(), PORTS.free())
        self.to_nats = Proxy(PORTS.free(), self.nats.port)
        self.to_database = Proxy(PORTS.free(), self.database.port)
        self.nodes: list[House] = []

    def open(self):
        """Begins all of it; returns when every node knows all."""
        self.nats.start()
        self.database.start()
        name = self.database.create().rsplit("/", 1)[1]
        url = f"postgres://{postgres.USER}@127.0.0.1:{self.to_database.port}/{name}"
        for number, shards in enumerate(self.shards):
            folder = self.folder / f"node{number}"
            folder.mkdir()
            bus = {"servers": f"nats://127.0.0.1:{self.to_nats.port}"}
            settings = {"database": url, "cluster": bus, "store": {"lease": f"{LEASE}s"}}
            self.nodes.append(House(folder, shards, self.permission_url, settings))
        self.nodes[0].start()
        for node in self.nodes[1:]:
            # Tokens are good at every node.
            shutil.copytree(self.nodes[0].folder / "data/keys", node.folder / "data/keys")
            node.start()
        self.is_whole()

    def is_whole(self):
        """Every node that runs is ready, and knows all that run."""
        living = [node for node in self.nodes if node.process and node.process.poll() is None]
        for node in living:
            until("every node knows all", lambda node=node: figure(node, "homeroom_cluster_nodes") == len(living))
            until("it is ready", lambda node=node: is_ready(node))

    def mend(self):
        """After a test: everything runs again, and nothing is lost or late on its way."""
        for proxy in (self.to_nats, self.to_database):
            proxy.delay, proxy.loses, proxy.refuses = 0.0, False, False
        if self.nats.process.poll() is not None:
            self.nats.start()
        if self.database.process.poll() is not None:
            self.database.start()
        for node in self.nodes:
            if node.process.poll() is not None:
                node.start()

    def close(self):
        """The end of all of it."""
        for node in self.nodes:
            if node.process:
                node.stop()
        self.to_nats.close()
        self.to_database.close()
        self.nats.remove()
        self.database.remove()


def is_ready(node: House) -> bool:
    """What the node says of itself."""
    try:
        return httpx.get(f"{node.internal}/readyz", timeout=30, trust_env=False, verify=False).status_code == 200
    except httpx.HTTPError:
        return False


def figure(node: House, name: str) -> float:
    """A metric of a node, summed over its labels; -1 where the node does not answer."""
    try:
        text = httpx.get(f"{node.internal}/metrics", timeout=30, trust_env=False, verify=False).text
    except httpx.HTTPError:
        return -1
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(value) for _, value in lines)

