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
DRAIN = "5s"  # for clients that open their next connection before they lose the last; it ends early where none is held
WAIT = 120  # seconds that anything may take that is not timed


def until(what: str, is_so, wait: float = WAIT):
    """Waits for a condition; its value."""
    deadline = time.monotonic() + wait
    while not (value := is_so()):
        assert time.monotonic() < deadline, f"not within {wait} s: {what}"
        time.sleep(0.05)
    return value


class School:
    """NATS and PostgreSQL behind a proxy each, and a node for each number of shards, which has proxies of its own before these."""

    def __init__(self, folder: Path, permission_url: str, shards: list[int], settings: dict | None = None):
        self.folder = folder
        self.settings = settings or {}
        self.permission_url = permission_url
        self.shards = shards
        self.database = postgres.Cluster(PORTS.free(), durable=False)
        self.nats = Nats(folder, PORTS.free(), PORTS.free())
        self.to_nats = Proxy(PORTS.free(), self.nats.port)
        self.to_database = Proxy(PORTS.free(), self.database.port)
        self.ways_to_nats = [Proxy(PORTS.free(), self.to_nats.port) for _ in shards]
        self.ways_to_database = [Proxy(PORTS.free(), self.to_database.port) for _ in shards]
        self.base = ""
        self.nodes: list[House] = []

    def open(self):
        """Begins all of it; returns when every node knows all."""
        self.nats.start()
        self.database.start()
        self.base = self.database.create().rsplit("/", 1)[1]
        for number, shards in enumerate(self.shards):
            folder = self.folder / f"node{number}"
            folder.mkdir()
            url = f"postgres://{postgres.USER}@127.0.0.1:{self.ways_to_database[number].port}/{self.base}"
            bus = {"servers": f"nats://127.0.0.1:{self.ways_to_nats[number].port}"}
            settings = {
                "database": url, "cluster": bus, "store": {"lease": f"{LEASE}s", "connect_timeout": "1s"}, "stop": {"drain": DRAIN},
            } | self.settings
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
        for proxy in self.proxies():
            proxy.delay, proxy.loses, proxy.refuses = 0.0, False, False
        if self.nats.process.poll() is not None:
            self.nats.start()
        if self.database.process.poll() is not None:
            self.database.start()
        for node in self.nodes:
            if node.process.poll() is not None:
                node.start()

    def proxies(self) -> list[Proxy]:
        """All of them."""
        return [*self.ways_to_nats, *self.ways_to_database, self.to_nats, self.to_database]

    def rows(self, room) -> list[tuple]:
        """Who is in the room by the database: agent ids with the epochs of their nodes."""
        return self.database.ask(f"SELECT agent_id, epoch FROM agent_session WHERE classroom = '{room}'", self.base)

    def epochs(self) -> set[int]:
        """Of the nodes that the database knows."""
        return {epoch for epoch, in self.database.ask("SELECT epoch FROM node", self.base)}

    def close(self):
        """The end of all of it."""
        for node in self.nodes:
            if node.process:
                node.stop()
        for proxy in self.proxies():
            proxy.close()
        self.nats.remove()
        self.database.remove()


def is_ready(node: House) -> bool:
    """What the node says of itself."""
    try:
        return httpx.get(f"{node.internal}/readyz", timeout=30, trust_env=False, verify=False).status_code == 200
    except httpx.HTTPError:
        return False


def figure(node: House, name: str) -> float:
    """A metric of a node, summed over its labels, or the one with these; -1 where the node does not answer."""
    try:
        text = httpx.get(f"{node.internal}/metrics", timeout=30, trust_env=False, verify=False).text
    except httpx.HTTPError:
        return -1
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if name in (line.split("{")[0].split(" ")[0], line.rsplit(" ", 1)[0])]
    return sum(float(value) for _, value in lines)

