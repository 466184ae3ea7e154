"""TLS on every listener: versions, resumption, what is no TLS, certificates renewed under connections; and that what is served bare is
served the same under it."""

import asyncio
import json
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import websockets

import chat
import client
import labs_agent
import secure
import tokens
from contract import SUCCESS, connect_request
from house import files_of
from labs import seen
from labs_agent import BANNER

NODE = Path(__file__).parent / "node"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


async def soon(condition):
    """Waits until a condition holds, of which a thread makes sure."""
    deadline = time.monotonic() + 60
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.05)


@pytest.fixture
def files(tmp_path):
    """A certificate of the test's own."""
    return secure.write(tmp_path)


@pytest.fixture
def safe(build, files):
    """A server with it on all listeners."""
    return build(tls=files_of(files))


def only(files, version: str) -> ssl.SSLContext:
    """A client of this version alone."""
    return files.client(minimum_version=VERSIONS[version], maximum_version=VERSIONS[version])


def shaken(port: int, context: ssl.SSLContext, session=None) -> ssl.SSLSocket:
    """A connection whose handshake is over."""
    bare = socket.create_connection(("127.0.0.1", port), timeout=30)
    return context.wrap_socket(bare, server_hostname="localhost", session=session)


def asked(tls: ssl.SSLSocket, path: str = "/healthz", connection: str = "keep-alive") -> bytes:
    """The status line and the headers of an answer."""
    tls.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = tls.recv(65536)
        assert piece, answer
        answer += piece
    return answer


def metric(house, name: str) -> int:
    """A counter of the server, over all shards."""
    text = httpx.get(f"{house.internal}/metrics", verify=False, trust_env=False, timeout=30).text
    return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))


async def signed_in(house, files, room, name, **options):
    """A WebSocket of the package `websockets` that is in the classroom."""
    connection = await websockets.connect(
        f"wss://localhost:{house.presence_port}/ws", ssl=files.client(), proxy=None, compression=None, **options,
    )
    await connection.send(connect_request(room, tokens.token(name)))
    assert await connection.recv() == SUCCESS
    return connection


@pytest.mark.parametrize("version", VERSIONS)
async def test_both_versions_are_spoken_and_choose_http_1_1(safe, files, version):
    context = only(files, version)
    for port in (safe.presence_port, safe.quiz_port, safe.chat_port, safe.internal_port):
        with await asyncio.to_thread(shaken, port, context) as tls:
            assert (tls.version(), tls.selected_alpn_protocol()) == (f"TLSv{version}", "http/1.1")
            path = "/livez" if port == safe.internal_port else "/healthz"
            assert (await asyncio.to_thread(asked, tls, path)).startswith(b"HTTP/1.1 ")


async def test_an_older_version_than_wanted_is_refused(build, files):
    house = build(tls=files_of(files), listen={"quiz": {"tls": {"min_version": "1.3"}}})
    with pytest.raises(ssl.SSLError):
        await asyncio.to_thread(shaken, house.quiz_port, only(files, "1.2"))
    with await asyncio.to_thread(shaken, house.quiz_port, only(files, "1.3")) as tls:
        assert tls.version() == "TLSv1.3"
    with await asyncio.to_thread(shaken, house.presence_port, only(files, "1.2")) as tls:
        assert tls.version() == "TLSv1.2"


@pytest.mark.parametrize("kind", ["ticket", "id"])
async def test_an_old_client_takes_up_its_session_by(safe, files, kind):
    context = only(files, "1.2")
    if kind == "id":
        context.options |= ssl.OP_NO_TICKET
    with await asyncio.to_thread(shaken, safe.presence_port, context) as first:
        assert not first.session_reused
        await asyncio.to_thread(asked, first)
        session = first.session
    # On whichever shard it lands.
    for _ in range(8):
        with await asyncio.to_thread(shaken, safe.presence_port, context, session) as again:
            assert again.session_reused
            assert (await asyncio.to_thread(asked, again)).startswith(b"HTTP/1.1 200")
            session = again.session
    assert metric(safe, "homeroom_tls_resumed_total") >= 8


async def test_a_new_client_takes_up_its_session_also_after_a_renewal(safe, files):
    context = only(files, "1.3")
    with await asyncio.to_thread(shaken, safe.presence_port, context) as first:
        await asyncio.to_thread(asked, first)
        session = first.session
    for round in range(4):
        with await asyncio.to_thread(shaken, safe.presence_port, context, session) as again:
            assert again.session_reused, round
            await asyncio.to_thread(asked, again)
            session = again.session
        if round == 1:
            safe.signal(signal.SIGHUP)
            await soon(lambda: "certificates were read again" in safe.log.read_text())


async def test_what_is_no_tls_is_refused_and_nobody_else_notices(safe, files, room, name):
    there = await signed_in(safe, files, room, name())
    hello = bytes.fromhex("1603010200010001fc0303") + bytes(32)
    wrong = [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 100]
    wrong += [hello[:5] + b"\x02" * 512, b"\x80\x2e\x01\x00\x02" + b"x" * 60, b"\x17\x03\x03\x00\x10" + b"y" * 16]
    for bytes_ in wrong:
        reader, writer = await asyncio.open_connection("127.0.0.1", safe.presence_port)
        writer.write(bytes_)
        said = await asyncio.wait_for(reader.read(), 30)
        assert said[:1] in (b"", b"\x15"), (bytes_, said)
        writer.close()
    assert metric(safe, "homeroom_tls_faults_total") >= len(wrong) - 1
    assert await asyncio.wait_for(await there.ping(), 30) >= 0
    await there.close()


@pytest.mark.parametrize("sent", ["nothing", "half a hello", "half a handshake", "half a request"])
async def test_silence_ends_after_the_time_of_a_handshake(build, files, sent):
    house = build(tls=files_of(files), websocket={"handshake_timeout": "1s"})
    bare = socket.create_connection(("127.0.0.1", house.presence_port), timeout=60)
    began = time.monotonic()
    if sent == "half a request":
        tls = files.client().wrap_socket(bare, server_hostname="localhost")
        tls.sendall(b"GET /ws HTTP/1.1\r\nHost: lo")
        end = tls
    else:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = files.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        whole = outgoing.read()
        bare.sendall({"nothing": b"", "half a hello": whole[:100], "half a handshake": whole}[sent])
        if sent == "half a handshake":  # the server has said all that it has to
            assert await asyncio.to_thread(bare.recv, 65536)
        end = bare
    try:
        while await asyncio.to_thread(end.recv, 65536):
            assert sent == "half a handshake"
    except (ConnectionResetError, ssl.SSLError):
        pass
    assert time.monotonic() - began >= 0.9
    end.close()


async def test_who_goes_without_a_farewell_has_left(safe, files, room, name):
    there = await signed_in(safe, files, room, name())
    gone = name()
    leaves = await signed_in(safe, files, room, gone)
    assert gone in await asyncio.wait_for(there.recv(), 30)
    # Of TLS and of WebSocket alike: the socket alone ends, as that of a process that was killed.
    leaves.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
    said = json.loads(await asyncio.wait_for(there.recv(), 30))
    assert (said["id"]["operation"], gone in json.dumps(said)) == ("left", True), said
    leaves.transport.abort()
    await there.close()


async def test_half_a_record_and_then_the_rest(safe, files, room, name):
    """A message whose record comes byte by byte, and one whose record never ends while others are served."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = files.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    reader, writer = await asyncio.open_connection("127.0.0.1", safe.presence_port)

    async def until(done):
        while True:
            try:
                return done()
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await asyncio.wait_for(reader.read(65536), 30))

    await until(tls.do_handshake)
    tls.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for byte in outgoing.read():
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await until(lambda: tls.read(65536))).startswith(b"HTTP/1.1 200")
    tls.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    writer.write(outgoing.read()[:20])
    other = await signed_in(safe, files, room, name())
    await other.close()
    writer.close()


async def test_certificates_are_renewed_and_nobody_is_dropped(safe, files, room, name):
    there = [await signed_in(safe, files, room, name()) for _ in range(8)]

    def shown() -> bytes:
        with shaken(safe.presence_port, files.client()) as tls:
            return tls.getpeercert(binary_form=True)

    first = await asyncio.to_thread(shown)
    # The key of another: nothing changes, and it is said why.
    good = files.key.read_bytes()
    other = secure.write(files.key.parent, "other")
    files.key.write_bytes(other.key.read_bytes())
    safe.signal(signal.SIGHUP)
    await soon(lambda: "the key is not that of the first certificate" in safe.log.read_text())
    assert await asyncio.to_thread(shown) == first
    files.chain.write_bytes(b"no certificate")
    files.key.write_bytes(good)
    safe.signal(signal.SIGHUP)
    await soon(lambda: "holds no certificate" in safe.log.read_text())
    assert await asyncio.to_thread(shown) == first
    safe.secrets += [line for line in (good + other.key.read_bytes()).decode().splitlines() if not line.startswith("-")]
    ends = metric(safe, "homeroom_tls_certificate_end_timestamp")
    secure.write(files.key.parent, "server", days=200)
    safe.signal(signal.SIGHUP)
    await soon(lambda: shown() != first)
    assert metric(safe, "homeroom_tls_certificate_end_timestamp") > ends
    for connection in there:
        assert await asyncio.wait_for(await connection.ping(), 30) >= 0
        await connection.close()


@pytest.mark.parametrize("days, said", [(-1, "the certificate has run out"), (5, "the certificate runs out soon")])
async def test_one_that_has_run_out_or_will_soon_is_told(build, tmp_path, days, said):
    house = build(tls=files_of(secure.write(tmp_path, days=days)))
    assert said in house.log.read_text()


async def test_the_node_tells_which_certificates_are_shown(safe, http):
    told = (await http.get(f"{safe.internal}/api/v1/node")).json()["certificates"]
    assert [one["listener"] for one in told] == ["presence", "quiz", "chat", "internal"]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert all(one["subject"].startswith("CN=") and one["not_before"] < now < one["not_after"] for one in told), told


async def test_a_server_does_not_start_with_files_that_cannot_be_used(starts_not, files):
    files.key.write_text("nothing")
    assert "holds no private key" in starts_not(tls=files_of(files))


async def test_rsa_is_spoken_too(build, tmp_path):
    files = secure.write(tmp_path, kind="rsa")
    house = build(tls=files_of(files))
    for version in VERSIONS:
        with await asyncio.to_thread(shaken, house.presence_port, only(files, version)) as tls:
            assert (await asyncio.to_thread(asked, tls)).startswith(b"HTTP/1.1 200")


async def test_many_at_once(safe, files, room, name):
    """More handshakes than fit into a turn; all of them are made, and who is there already is served."""
    there = await signed_in(safe, files, room, name(), max_queue=None)
    crowd = await asyncio.gather(*(signed_in(safe, files, room, name(), max_queue=None) for _ in range(60)))
    assert await asyncio.wait_for(await there.ping(), 30) >= 0
    assert metric(safe, "homeroom_tls_waiting") == 0
    await asyncio.gather(*(connection.close() for connection in [there, *crowd]))


async def test_the_end_is_said(safe, files):
    """Answers end with TLS's own farewell, so that nobody can cut one short unnoticed."""
    tls = await asyncio.to_thread(shaken, safe.presence_port, files.client())
    tls.suppress_ragged_eofs = False
    await asyncio.to_thread(asked, tls, "/healthz", "close")
    while await asyncio.to_thread(tls.recv, 65536):
        pass
    tls.close()


async def test_large_frames_both_ways(build, files):
    house = build(tls=files_of(files), websocket={"max_message": "1MiB", "outbox": "4MiB"})
    url = f"wss://localhost:{house.presence_port}/echo"
    async with websockets.connect(url, ssl=files.client(), proxy=None, compression=None, max_size=None) as echo:
        for size in (1, 1000, 16_384, 16_385, 100_000, 1_000_000):
            message = bytes(number % 251 for number in range(size))
            await echo.send(message)
            assert await asyncio.wait_for(echo.recv(), 60) == message


async def test_one_that_reads_slowly_gets_all_in_order(build, files):
    house = build(tls=files_of(files), websocket={"outbox": "16MiB"})
    context = files.client()
    bare = socket.socket()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bare.connect(("127.0.0.1", house.presence_port))
    bare.settimeout(60)
    tls = context.wrap_socket(bare, server_hostname="localhost")
    tls.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += tls.recv(1)
    # A thousand echoes of a KiB, of which nothing is read before all were sent.
    for number in range(1000):
        payload = number.to_bytes(4, "big") * 256
        tls.sendall(b"\x82\xfe\x04\x00" + bytes(4) + payload)

    def read(length: int) -> bytes:
        got = b""
        while len(got) < length:
            piece = tls.recv(length - len(got))
            assert piece
            got += piece
        return got

    def all_in_order():
        for number in range(1000):
            assert read(4) == b"\x82\x7e\x04\x00"
            assert read(1024) == number.to_bytes(4, "big") * 256, number

    await asyncio.to_thread(all_in_order)
    tls.close()


@pytest.mark.skipif(not shutil.which("node") or not (NODE / "node_modules/ws").is_dir(), reason="node or its `ws` is not installed")
async def test_node_signs_in(safe, files, room, name):
    command = ["node", "sign_in.mjs", f"wss://localhost:{safe.presence_port}/ws", str(room), tokens.token(name())]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=NODE, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "NODE_EXTRA_CA_CERTS": str(files.root)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["kind"] for line in said] == ["open", "text", "ping", "close"] and said[1]["data"] == SUCCESS


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
async def test_curl_uploads_and_downloads(safe, files, tmp_path):
    """A body of which most is on its way before the handshake is over, and answers to several requests."""
    body = tmp_path / "body"
    body.write_text(json.dumps({"title": "x" * 60_000}))
    base = ["curl", "-sS", "--noproxy", "*", "--cacert", str(files.root), "--max-time", "60"]
    base += ["-w", "%{http_code} %{num_connects}\n", "-o", "/dev/null"]
    url = f"https://localhost:{safe.quiz_port}/api/v1/quizzes"
    sent = await asyncio.to_thread(subprocess.run, [*base, "--data-binary", f"@{body}", url], capture_output=True, text=True, timeout=90)
    assert sent.stdout.startswith("401 "), sent
    health = f"https://localhost:{safe.presence_port}/healthz"
    twice = await asyncio.to_thread(
        subprocess.run, [*base, health, "-o", "/dev/null", health], capture_output=True, text=True, timeout=90,
    )
    assert twice.stdout == "200 1\n200 0\n", twice


# --- the same as bare, by the helpers of the other tests


async def test_a_classroom_and_a_plain_listener_beside_it(build, files, room, name):
    house = build(tls=files_of(files), listen={"quiz": {"tls": False}})
    assert httpx.get(f"http://127.0.0.1:{house.quiz_port}/api/v1/quizzes", trust_env=False, timeout=30).status_code == 401
    first = await client.sign_in(house, room, tokens.token(name()))
    second = await client.sign_in(house, room, tokens.token(name()))
    assert await first.json()
    await second.leave()
    assert await first.json()
    await first.leave()


async def test_a_screen(build_lab, files):
    """An agent and a viewer, both under TLS: some MiB both ways, through the pauses that so much brings."""
    lab = await build_lab(tls=files_of(files))
    agent = lab.agent()
    await agent.join(5)
    agent.screen = labs_agent.echo
    session = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    viewer = await lab.admin.view(session)
    assert await seen(viewer, len(BANNER)) == BANNER
    sent = bytes(number % 251 for number in range(4 << 20))
    for at in range(0, len(sent), 60_000):
        viewer.send(sent[at:at + 60_000])
    assert await seen(viewer, len(sent)) == sent
    await viewer.leave()


async def test_an_answer_as_events(build, files, http, name):
    person = chat.Person(build(tls=files_of(files)), http, name())
    source = await (await person.session()).stream("/count 200 1")
    events = await source.rest()
    assert chat.counts_up(chat.text(events)) == 200 and events[-1]["type"] == "done"
