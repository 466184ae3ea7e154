#!/usr/bin/env python3
"""What TLS costs the server: CPU of a handshake by kind, and memory of an idle connection.

    perf/tls.py [--binary target/release/homeroom] [--connections 2000] [--handshakes 1000] [--rounds 5] [--out FILE]

Needs the packages of tests/conformance/requirements.txt. One shard; server and client share the machine. CPU is the server's own, as the
kernel's scheduler counts it (schedstat of all its threads); memory is what
its own (RssAnon) grows by."""

import argparse
import json
import os
import platform
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/conformance"))
import secure  # noqa: E402

UPGRADE = (b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def free_port() -> int:
    """One below the kernel's own."""
    for port in range(22_300, 22_399):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("no port is free")


class Server:
    """One, with this certificate or without TLS."""

    def __init__(self, binary: Path, folder: Path, files: secure.Files | None):
        self.port = free_port()
        self.config = folder / "homeroom.toml"
        tls = f'[tls]\ncertificate = "{files.chain}"\nkey = "{files.key}"\n' if files else ""
        binds = "".join(f'[listen.{api}]\nbind = "127.0.0.1:0"\n' for api in ("quiz", "chat", "internal"))
        presence = f'[listen.presence]\nbind = "127.0.0.1:{self.port}"\ntls = {str(bool(files)).lower()}\n'
        head = f'data_dir = "{folder}/data"\nshards = 1\n[log]\nlevel = "error"\n[stop]\ndrain = "0s"\n[test]\nendpoints = true\n'
        self.config.write_text(head + tls + presence + binds)
        self.process = subprocess.Popen([binary, "serve", "--config", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise SystemExit("the server did not start") from None
                time.sleep(0.05)

    def cpu_us(self) -> float:
        """Of all threads, in microseconds."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1000

    def memory(self) -> int:
        """Bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) << 10

    def stop(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait()


def connected(server: Server, context: ssl.SSLContext | None, session=None):
    """A connection, its handshake over. It holds nothing back, as browsers do not: where 1.2 is taken up the client has the last word of
    the handshake, and its request would wait 40 ms for the server's delayed acknowledgement, whose ticks would be counted meanwhile."""
    bare = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(bare, server_hostname="localhost", session=session) if context else bare


def upgraded(server: Server, context: ssl.SSLContext | None, session=None):
    """One whose upgrade was answered too: with what comes before it every kind does the same work."""
    made = connected(server, context, session)
    made.sendall(UPGRADE)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += made.recv(4096)
    return made


def cost(server: Server, context: ssl.SSLContext | None, count: int, rounds: int, resumed: bool) -> dict:
    """Microseconds of the server's CPU for a connection with its upgrade and its end."""
    session = None
    if resumed:
        first = upgraded(server, context)
        session = first.session
        first.close()
    taken = []
    for _ in range(rounds):
        began = server.cpu_us()
        for _ in range(count // rounds):
            made = upgraded(server, context, session)
            if resumed:
                assert made.session_reused
                session = made.session
            made.close()
        taken.append((server.cpu_us() - began) / (count // rounds))
    return {"median_us": round(statistics.median(taken), 1), "min_us": round(min(taken), 1), "max_us": round(max(taken), 1)}


def idle(server: Server, context: ssl.SSLContext | None, count: int) -> int:
    """Bytes of an idle connection, by the slope behind the first half: what a start has left over is given back by then."""
    kept = [upgraded(server, context) for _ in range(count // 2)]
    time.sleep(2)
    before = server.memory()
    kept += [upgraded(server, context) for _ in range(count - len(kept))]
    time.sleep(2)
    grown = server.memory() - before
    for made in kept:
        made.close()
    return grown // (count - count // 2)


def main():
    """Measures and tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/homeroom")
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--handshakes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    newest, oldest = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2
    said = {"command": f"perf/tls.py --connections {arguments.connections} --handshakes {arguments.handshakes} --rounds {arguments.rounds}"}
    said |= {"kernel": platform.release(), "cores": os.cpu_count(), "openssl": ssl.OPENSSL_VERSION, "cpu_of_a_connection": {}}
    said["bytes_of_an_idle_connection"] = {}
    kinds = [("bare", None, None, False), ("ecdsa 1.3", "ecdsa", newest, False), ("ecdsa 1.3 resumed", "ecdsa", newest, True)]
    kinds += [("ecdsa 1.2", "ecdsa", oldest, False), ("ecdsa 1.2 resumed", "ecdsa", oldest, True), ("rsa 2048 1.3", "rsa", newest, False)]
    for name, kind, version, resumed in kinds:
        with tempfile.TemporaryDirectory() as folder:
            files = kind and secure.write(Path(folder), kind=kind)
            context = files.client(minimum_version=version, maximum_version=version) if files else None
            server = Server(arguments.binary, Path(folder), files)
            try:
                # First: what the handshakes of the other part leave to the allocator is given back in the middle of this one.
                if not resumed and kind != "rsa":
                    said["bytes_of_an_idle_connection"][name] = idle(server, context, arguments.connections)
                said["cpu_of_a_connection"][name] = cost(server, context, arguments.handshakes, arguments.rounds, resumed)
            finally:
                server.stop()
        print(name, said["cpu_of_a_connection"][name], said["bytes_of_an_idle_connection"].get(name, ""), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(said, indent=1) + "\n")


main()
