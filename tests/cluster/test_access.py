"""How a node signs in to NATS: by name, token, certificate or a file of credentials, in the clear and by TLS; and what it says where it may
not."""

import asyncio
import os
import subprocess

import pytest

import credentials
import tokens
from bus import Bus, headers
from client import sign_in
from house import BINARY, PORTS, House
from nats import Nats
from quiz import is_true_soon
from school import is_ready, until


class Place:
    """A NATS that asks who one is, and what a node must be told to be let in."""

    def __init__(self, way: str, folder):
        self.folder, self.secrets = folder, []
        self.certificates = credentials.certificates(folder)
        lines, self.settings = getattr(self, way)()
        self.nats = Nats(folder, PORTS.free(), PORTS.free(), lines)
        scheme = "tls" if "tls" in lines else "nats"
        self.settings |= {"servers": f"{scheme}://127.0.0.1:{self.nats.port}", "prefix": "city.north", "outside_prefix": "city"}

    def _file(self, name: str, text: str) -> str:
        file = self.folder / name
        file.write_text(text)
        file.chmod(0o600)
        return str(file)

    def _secret(self) -> str:
        self.secrets.append(credentials.secret())
        return self.secrets[-1]

    def _tls(self, more: str = "") -> str:
        files = self.certificates
        return f"tls {{ cert_file: {files['server']}, key_file: {files['server_key']}, ca_file: {files['ca']}{more} }}\n"

    def password(self):
        """By name and password, in the clear."""
        word = self._secret()
        return f"authorization {{ user: node, password: \"{word}\" }}\n", {"user": "node", "password_file": self._file("password", word)}

    def token(self):
        """By a token, by TLS."""
        word = self._secret()
        lines = f'authorization {{ token: "{word}" }}\n' + self._tls()
        return lines, {"token_file": self._file("token", word), "ca_file": str(self.certificates["ca"])}

    def certificate(self):
        """By a certificate that the server asks for."""
        files = self.certificates
        own = {"certificate_file": str(files["client"]), "key_file": str(files["client_key"]), "ca_file": str(files["ca"])}
        return self._tls(", verify: true"), own

    def credentials(self):
        """By a file of credentials: a JWT, and a key that signs what the server asks."""
        lines, text = credentials.operator()
        self.secrets += [line for line in text.splitlines() if line.startswith(("SU", "ey"))]
        return lines, {"credentials_file": self._file("creds", text)}


@pytest.fixture
def place(request, tmp_path):
    made = Place(request.param, tmp_path)
    made.nats.start()
    yield made
    made.nats.remove()


def node_at(place: Place, three, permissions, **changed) -> House:
    """A node of a school of its own."""
    name = three.database.create().rsplit("/", 1)[1]
    folder = place.folder / f"node{len(list(place.folder.glob('node*')))}"
    folder.mkdir()
    url = f"postgres://superuser@127.0.0.1:{three.database.port}/{name}"
    node = House(folder, 1, permissions.url, {"database": url, "cluster": place.settings | changed})
    node.secrets += place.secrets
    return node


@pytest.mark.parametrize("place", ["password", "token", "certificate", "credentials"], indirect=True)
async def test_a_node_that_may_is_let_in_and_keeps_to_its_subjects(place, three, permissions, room, name):
    node = node_at(place, three, permissions)
    node.start()
    try:
        until("it hears itself", lambda: is_ready(node))
        await sign_in(node, room, tokens.token(name()))
        listed = place.nats.figures("subsz?subs=1")["subscriptions_list"]
        own = {entry["subject"] for entry in listed if not entry["subject"].startswith("$SYS")}
        assert own and all(subject.startswith(("city.north.", "city.classroom.")) for subject in own), own
        # NATS begins anew, and the node is let in again.
        place.nats.kill()
        until("it notices", lambda: not is_ready(node))
        place.nats.start()
        until("it is back", lambda: is_ready(node))
    finally:
        await asyncio.to_thread(node.stop)


@pytest.mark.parametrize(("place", "wrong", "told"), [
    ("password", {"password_file": "other"}, "NATS does not let this node in"),
    ("token", {"token_file": "other"}, "NATS does not let this node in"),
    ("token", {"ca_file": "stranger"}, "no encrypted connection to NATS can be made"),
    ("credentials", {"credentials_file": "other"}, "holds no credentials of NATS"),
], indirect=["place"])
def test_a_node_that_may_not_says_so_and_ends(place, three, permissions, wrong, told):
    key, what = wrong.popitem()
    other = place._file("other", credentials.secret()) if what == "other" else str(place.certificates[what])
    node = node_at(place, three, permissions, **{key: other})
    ended = subprocess.run(
        [BINARY, "serve", "--config", node.config], capture_output=True, text=True, timeout=120, env={"PATH": os.environ["PATH"]})
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0 and told in said, said[-2000:]
    assert not any(secret in said for secret in place.secrets), "a secret is told"


async def test_another_service_that_may_publishes_under_the_prefix(tmp_path, three, permissions, room, name):
    nats = Nats(tmp_path, PORTS.free(), PORTS.free())
    nats.start()
    made = Place("password", tmp_path)
    made.settings = {"servers": nats.url, "prefix": "city.north", "outside_prefix": "city"}
    node = node_at(made, three, permissions)
    node.start()
    bus = await Bus.open(nats.port)
    try:
        until("it hears itself", lambda: is_ready(node))
        socket = await sign_in(node, room, tokens.token(name()))
        assert await bus.ask(f"classroom.{room}.ban", headers("web.x.y", 1), b"{}", 5) == {"error": "nobody"}

        async def is_heard():
            return (await bus.ask(f"city.classroom.{room}.ban", headers("web.x.y", 2), b"{}")).get("members") == 1

        await is_true_soon(is_heard, 60)
        assert (await socket.json())["id"]["sequence_id"] == 2
    finally:
        await bus.close()
        await asyncio.to_thread(node.stop)
        nats.remove()
