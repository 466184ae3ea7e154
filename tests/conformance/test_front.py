"""What stands before a listener besides TLS: proxies that say whose connection it is, unix sockets, sockets that systemd has opened."""

import asyncio
import json
import socket
import stat
import struct
import subprocess
import sys

import httpx
import pytest
import websockets

import client
import secure
import tokens
from contract import SUCCESS, connect_request
from house import BINARY, House, files_of

PROXY = "127.0.0.77"  # where it is; everybody else is at other addresses
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOGIN = json.dumps({"username": "nobody", "password": "wrong"}).encode()


def v1(address: str) -> bytes:
    """The line of version 1."""
    family, own = ("TCP6", "::1") if ":" in address else ("TCP4", "127.0.0.1")
    return f"PROXY {family} {address} {own} 56324 443\r\n".encode()


def v2(address: str, more: bytes = b"") -> bytes:
    """The bytes of version 2."""
    family, kind = (socket.AF_INET6, 0x21) if ":" in address else (socket.AF_INET, 0x11)
    body = socket.inet_pton(family, address) * 2 + struct.pack("!HH", 56324, 443) + more
    return SIGNATURE + bytes([0x21, kind]) + struct.pack("!H", len(body)) + body


LOCAL = SIGNATURE + bytes([0x20, 0, 0, 0])


async def said(port: int, sent: bytes, local: str = PROXY, context=None, pieces: int = 0) -> bytes:
    """All that is answered to these bytes until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(local, 0))
    try:
        if context:
            header, sent = sent
            writer.write(header)
            await writer.start_tls(context, server_hostname="localhost")
        for at in range(0, pieces):
            writer.write(sent[at:at + 1])
            await writer.drain()
            await asyncio.sleep(0.001)
        writer.write(sent[pieces:])
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def request(path: str = "/healthz", body: bytes | None = None) -> bytes:
    """A request of its own connection."""
    method, length = ("GET", "") if body is None else ("POST", f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{length}\r\n".encode() + (body or b"")


def status(answer: bytes) -> int:
    """0: none."""
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@pytest.fixture
def proxied(build):
    """A server whose presence and labs are behind a proxy, where an address may try to sign in three times a minute."""
    return build(listen={"presence": {"proxy_protocol": [PROXY, "unix"]}}, labs={"logins_a_minute": 3})


HEADERS = {
    "v1": v1("203.0.113.7"), "v1 of IPv6": v1("2001:db8::7"), "v1 unknown": b"PROXY UNKNOWN\r\n", "v2": v2("203.0.113.7"),
    "v2 of IPv6": v2("2001:db8::7"), "v2 with more behind": v2("203.0.113.7", b"\x04\x00\x03abc"), "v2 local": LOCAL,
}


@pytest.mark.parametrize("header", HEADERS)
async def test_a_header_is_taken_from_a_proxy_whole_and_in_pieces(proxied, header, room, name):
    port, header = proxied.presence_port, HEADERS[header]
    assert status(await said(port, header + request())) == 200
    assert status(await said(port, header + request(), pieces=len(header) + 3)) == 200
    bare = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(PROXY, 0))
    bare.sendall(header)
    bare.setblocking(False)
    connection = await websockets.connect(f"ws://localhost:{port}/ws", sock=bare, proxy=None, compression=None)
    await connection.send(connect_request(room, tokens.token(name())))
    assert await connection.recv() == SUCCESS
    await connection.close()


async def test_what_is_no_header_is_not_served(proxied):
    port = proxied.presence_port
    wrong = [
        request(), b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n" + request(), b"PROXY TCP4 a b 1 2\r\n" + request(),
        v1("203.0.113.7")[:-2] + b"\n" * 120,
        SIGNATURE + bytes([0x31, 0x11, 0, 12]) + bytes(12) + request(), SIGNATURE + bytes([0x21, 0x11, 0, 4]) + bytes(4) + request(),
        SIGNATURE + bytes([0x21, 0x11, 0xff, 0xff]) + request(), b"\x16\x03\x01\x00\x10" + bytes(16),
    ]
    for bytes_ in wrong:
        assert await said(port, bytes_) == b"", bytes_
    text = httpx.get(f"{proxied.internal}/metrics", verify=False, trust_env=False, timeout=30).text
    faults = sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith("homeroom_proxy_faults_total{"))
    assert faults == len(wrong)
    assert "a proxy has sent no PROXY header" in proxied.log.read_text()


async def test_a_header_from_elsewhere_is_refused_and_who_sends_none_is_served(proxied):
    port = proxied.presence_port
    assert status(await said(port, request(), local="127.0.0.9")) == 200
    for header in HEADERS.values():
        assert status(await said(port, header + request(), local="127.0.0.9")) in (0, 400, 505), header


async def test_half_a_header_and_then_silence(build):
    house = build(listen={"presence": {"proxy_protocol": [PROXY]}}, websocket={"handshake_timeout": "1s"})
    assert await said(house.presence_port, b"PROXY TCP4 203.0.") == b""


async def test_limits_count_whom_the_proxy_speaks_for(proxied):
    port = proxied.presence_port

    async def login(header: bytes) -> int:
        return status(await said(port, header + request("/api/v1/auth/login", LOGIN)))

    assert [await login(v1("203.0.113.7")) for _ in range(4)] == [401, 401, 401, 429]
    assert await login(v2("203.0.113.7")) == 429
    assert await login(v2("203.0.113.8")) == 401
    assert await login(v1("2001:db8::7")) == 401
    # The proxy itself is one of all.
    assert await login(LOCAL) == 401


async def test_under_tls_the_header_comes_first(build, tmp_path):
    files = secure.write(tmp_path)
    house = build(tls=files_of(files), listen={"presence": {"proxy_protocol": [PROXY]}}, labs={"logins_a_minute": 1})
    login = request("/api/v1/auth/login", LOGIN)
    statuses = [
        status(await said(house.presence_port, (v2(address), login), context=files.client()))
        for address in ("203.0.113.7", "203.0.113.8", "203.0.113.7")
    ]
    assert statuses == [401, 401, 429]


class Hidden(House):
    """One that is not found by its ports: it is ready when its internal listener says so, which may be a unix socket."""

    def _ready(self) -> bool:
        path = self.folder / "internal.sock"
        try:
            transport = httpx.HTTPTransport(uds=str(path)) if path.exists() else None
            with httpx.Client(transport=transport, timeout=10, trust_env=False) as http:
                return http.get(f"{self.internal}/readyz").status_code == 200
        except httpx.HTTPError:
            return False


async def test_a_unix_socket(tmp_path_factory, shards, permissions, room, name):
    folder = tmp_path_factory.mktemp("house")
    path = folder / "all.sock"
    listen = {api: {"bind": f"unix:{path}", "prefix": f"/{api}"} for api in ("quiz", "chat")}
    house = Hidden(folder, shards, permissions.url, {"listen": listen | {"presence": {"bind": f"unix:{path}"}}})
    await asyncio.to_thread(house.start)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), timeout=30) as http:
        assert (await http.get("http://localhost/healthz")).status_code == 200
        assert (await http.get("http://localhost/quiz/api/v1/quizzes")).status_code == 401
        assert (await http.get("http://localhost/chat/api/v1/sessions/")).status_code == 401
    async with websockets.unix_connect(str(path), uri="ws://localhost/echo", proxy=None, compression=None) as echo:
        await echo.send("x" * 50_000)
        assert await asyncio.wait_for(echo.recv(), 30) == "x" * 50_000
    house.stop()
    assert not path.exists()


async def test_a_unix_socket_that_a_crash_left_is_replaced_and_one_in_use_is_not(build, starts_not, tmp_path):
    path = tmp_path / "quiz.sock"
    house = build(listen={"quiz": {"bind": f"unix:{path}"}})
    house.kill()
    assert path.exists()
    house.start()
    assert "another process listens there" in starts_not(listen={"quiz": {"bind": f"unix:{path}"}})
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), timeout=30) as http:
        assert (await http.get("http://localhost/api/v1/quizzes")).status_code == 401


async def test_the_internal_listener_at_a_unix_socket_is_found_by_commands(tmp_path_factory, shards, permissions):
    folder = tmp_path_factory.mktemp("house")
    house = Hidden(folder, shards, permissions.url, {"listen": {"internal": {"bind": f"unix:{folder}/internal.sock"}}})
    await asyncio.to_thread(house.start)
    command = [BINARY, "user", "list", "--config", str(house.config)]
    listed = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, cwd=folder)
    house.stop()
    assert listed.returncode == 0 and listed.stdout.startswith("admin"), listed


@pytest.mark.parametrize("family", ["tcp", "unix"])
async def test_sockets_of_systemd(tmp_path_factory, tmp_path, shards, permissions, family, room, name):
    """The socket listens before the server is there, and whoever has connected meanwhile is served."""
    settings = {"listen": {"quiz": {"bind": "systemd:first"}, "presence": {"bind": "systemd:second"}}}
    house = House(tmp_path_factory.mktemp("house"), shards, permissions.url, settings)
    presence = socket.create_server(("127.0.0.1", house.presence_port), backlog=64)
    if family == "tcp":
        quiz = socket.create_server(("127.0.0.1", house.quiz_port), backlog=64)
    else:
        quiz = socket.socket(socket.AF_UNIX)
        quiz.bind(str(tmp_path / "quiz.sock"))
        quiz.listen(64)
    early = socket.create_connection(("127.0.0.1", house.presence_port), timeout=60)
    early.sendall(request())
    program = (
        "import fcntl, os, sys\nhigh = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 50) for number in sys.argv[1:3]]\n"
        "for place, number in enumerate(high): os.dup2(number, 3 + place)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='first:second')\n"
        "os.execv(sys.argv[3], sys.argv[3:])\n"
    )
    house.descriptors = (quiz.fileno(), presence.fileno())
    house.launcher = [sys.executable, "-c", program, *map(str, house.descriptors)]
    await asyncio.to_thread(house.start)
    assert status(await asyncio.to_thread(early.recv, 65536)) == 200
    member = await client.sign_in(house, room, tokens.token(name()))
    await member.leave()
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "quiz.sock")) if family == "unix" else None
    async with httpx.AsyncClient(transport=transport, timeout=30, trust_env=False) as http:
        assert (await http.get(f"http://127.0.0.1:{house.quiz_port}/api/v1/quizzes")).status_code == 401
    house.stop()


async def test_a_start_says_which_socket_of_systemd_is_missing(starts_not):
    assert "cannot listen on systemd:labs: no socket was handed over" in starts_not(listen={"labs": {"bind": "systemd:labs"}})
