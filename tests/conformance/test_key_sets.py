"""Issuers that publish their keys (JWK Sets), against the real server: keys that come and go, and all that may be wrong with them."""

import asyncio
import base64
import json
import signal
import subprocess

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

import house as houses
import secure
import tokens
from authority import Authority
from client import sign_in
from key_server import ISSUER, Key, KeyServer
from test_metrics import samples
from test_reload import REFUSED, Reloads, comes_true, is_let_in

QUICK = {"jwks_pause": "200ms", "jwks_interval": "1h", "jwks_timeout": "1s"}
LABELS = f'api="presence",issuer="{ISSUER}"'


@pytest.fixture
def key_server():
    """One with a key."""
    server = KeyServer(Key("first"))
    yield server
    server.close()


@pytest.fixture
def unstarted(tmp_path_factory, shards, permissions):
    """Makes servers that a test starts itself."""
    made = []

    def make(**given) -> houses.House:
        made.append(houses.House(tmp_path_factory.mktemp("house"), shards, permissions.url, given))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def settings(place: str, reload: dict | None = None, **issuer) -> dict:
    """A server that believes who publishes there."""
    believed = {ISSUER: {"audiences": [tokens.OPEN], "jwks": place} | issuer}
    return {"log": {"level": "debug"}, "presence": {"issuers": believed}, "quiz": {"issuers": believed}, "reload": QUICK | (reload or {})}


async def lets_in(house, room, token: str):
    """Waits until somebody with this token gets in."""

    async def is_in() -> bool:
        return await is_let_in(house, room, token)

    await comes_true(is_in)


async def state(house, http, api: str = "presence") -> dict:
    """How it stands with the set, as operators see it."""
    node = (await http.get(f"{house.internal}/api/v1/node")).json()
    return next(one for one in node["key_sets"] if (one["api"], one["issuer"]) == (api, ISSUER))


async def has_failed(house, http, why: str):
    """Waits until the last read failed for this reason."""

    async def is_told() -> bool:
        return why in ((await state(house, http))["fault"] or "")

    await comes_true(is_told)


async def test_keys_come_and_go_without_a_restart(build, key_server, room, name, http):
    first, second = key_server.keys[0], Key("second", "EdDSA")
    house = build(**settings(key_server.url))
    there = await sign_in(house, room, first.token(name())) if await is_let_in(house, room, first.token(name())) else None
    await lets_in(house, room, first.token(name()))
    asked = key_server.asked
    assert not await is_let_in(house, room, Key("first").token(name())), "another key of the same name"
    assert not await is_let_in(house, room, first.token(name(), aud="elsewhere.example.org"))
    assert key_server.asked == asked, "a key that is known is not asked for"
    key_server.keys.append(second)
    await lets_in(house, room, second.token(name()))
    key_server.keys.remove(first)
    house.signal(signal.SIGHUP)

    async def is_former() -> bool:
        now = await state(house, http)
        return (now["keys"], now["former"]) == (1, 1)

    await comes_true(is_former)
    assert await is_let_in(house, room, first.token(name())), "its tokens are good for as long as former_keys says"
    assert there is None or not there.transport.is_closing()
    seen = await samples(house, http)
    assert seen[f"homeroom_key_set_keys{{{LABELS}}}"] == 1
    assert seen[f'homeroom_key_set_reads_total{{{LABELS},outcome="failed"}}'] == 0


async def test_without_a_time_for_former_keys_one_that_is_taken_out_is_good_no_more(build, key_server, room, name):
    first = key_server.keys[0]
    house = build(**settings(key_server.url, reload={"former_keys": "0s"}))
    await lets_in(house, room, first.token(name()))
    key_server.keys = [Key("second")]
    await lets_in(house, room, key_server.keys[0].token(name()))
    assert not await is_let_in(house, room, first.token(name()))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_every_kind_of_key_signs_for_presence_and_quizzes(build, room, name, http, algorithm):
    key = Key("a", algorithm)
    server = KeyServer(key, Key("b", "ES256"))
    try:
        house = build(**settings(server.url))
        await lets_in(house, room, key.token(name()))

        async def is_owner() -> bool:
            headers = {"authorization": f"Bearer {key.token(name())}"}
            return (await http.get(f"{house.quiz}/api/v1/quizzes", headers=headers)).status_code == 200

        await comes_true(is_owner)
    finally:
        server.close()


def forged(header: dict, claims: dict, secret: bytes) -> str:
    """A token with any header, and an HMAC for a signature."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    whole = f"{signed}.{part(jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signed.encode(), secret))}"
    tokens.MINTED.append(whole)
    return whole


async def test_nothing_in_a_header_chooses_another_key(build, room, name):
    own, stranger = Key("rsa", "RS256"), Key("rsa", "RS256")
    server, trap = KeyServer(own, Key("../../../../etc/passwd")), KeyServer(stranger)
    try:
        house = build(**settings(server.url))
        await lets_in(house, room, own.token(name()))
        assert await is_let_in(house, room, server.keys[1].token(name())), "a path is a name like any other"
        public = own.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        claims = {"iss": ISSUER, "aud": tokens.OPEN, "sub": name()}
        for token in (
            stranger.token(name()),
            stranger.token(name(), {"jku": trap.url, "x5u": trap.url}),
            stranger.token(name(), {"kid": "new", "jku": trap.url}),
            stranger.token(name(), {"jwk": stranger.jwk}),
            own.token(name(), {"kid": "../../../../dev/null"}),
            forged({"alg": "HS256", "kid": "rsa"}, claims, public),
            forged({"alg": "RS256", "kid": "rsa"}, claims, public),
            forged({"alg": "HS256", "kid": "../../../../dev/null"}, claims, b""),
            forged({"alg": "none", "kid": "rsa"}, claims, b""),
        ):
            assert not await is_let_in(house, room, token), jwt.get_unverified_header(token)
        assert trap.asked == 0, "nobody goes where a token says"
    finally:
        server.close()
        trap.close()


FAULTS = {
    "500": "answered 500", "hang": "no whole answer in time", "garbage": "not a JSON object", "large": "more than 1048576 bytes",
    "private": "key 1 has a private part", "secret": "key 1 is symmetric", "redirect": "answered 302", "empty": "no key that can be used",
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_cannot_be_read_changes_nothing_and_is_told(build, key_server, room, name, http, fault):
    first = key_server.keys[0]
    house = build(**settings(key_server.url))
    await lets_in(house, room, first.token(name()))
    key_server.fault = fault
    second = Key("second")
    assert not await is_let_in(house, room, second.token(name()))
    await has_failed(house, http, FAULTS[fault])
    assert await is_let_in(house, room, first.token(name()))
    assert not await is_let_in(house, room, second.token(name()))
    assert FAULTS[fault] in house.log.read_text()
    assert (await samples(house, http))[f'homeroom_key_set_reads_total{{{LABELS},outcome="failed"}}'] >= 1
    key_server.fault, key_server.keys = None, [first, second]
    key_server.released.set()
    await lets_in(house, room, second.token(name()))
    assert (await state(house, http))["fault"] is None


async def test_unknown_keys_are_refused_at_once_and_ask_once_in_a_while(build, key_server, room, name):
    first = key_server.keys[0]
    house = build(**settings(key_server.url, reload={"jwks_pause": "30s"}))
    await lets_in(house, room, first.token(name()))
    asked = key_server.asked
    key_server.fault = "hang"
    strangers = [Key(f"stranger-{number}").token(name()) for number in range(20)]
    said = await asyncio.wait_for(asyncio.gather(*(is_let_in(house, room, token) for token in strangers)), 60)
    assert not any(said)
    assert await is_let_in(house, room, first.token(name()))
    # Presence and quizzes have a set each; neither is asked twice within the pause.
    assert key_server.asked == asked


async def test_one_that_is_not_there_at_the_start_is_read_when_it_is(build, room, name, http):
    server = KeyServer(Key("first"))
    server.fault = "500"
    try:
        house = build(**settings(server.url))
        assert not await is_let_in(house, room, server.keys[0].token(name()))
        assert await is_let_in(house, room, tokens.token(name())), "other issuers are as ever"
        await has_failed(house, http, "answered 500")
        server.fault = None
        await lets_in(house, room, server.keys[0].token(name()))
    finally:
        server.close()


async def test_the_issuers_word_on_how_long_they_are_good_counts(build, key_server, room, name, http):
    key_server.max_age = 1
    house = build(**settings(key_server.url))
    await lets_in(house, room, key_server.keys[0].token(name()))
    asked = key_server.asked
    key_server.keys.append(Key("second"))

    async def is_read() -> bool:
        return (await state(house, http))["keys"] == 2

    await comes_true(is_read)
    assert key_server.asked > asked, "though nobody has named the new one"


async def test_https_by_an_authority_that_the_machine_believes(unstarted, tmp_path, room, name, http):
    authority = Authority(tmp_path)
    server = KeyServer(Key("first"), files=authority.sign("127.0.0.1"))
    try:
        believing, other = (unstarted(**settings(server.url)) for _ in range(2))
        believing.environment["SSL_CERT_FILE"] = str(authority.certificate)
        for one in (believing, other):
            one.start()
        await lets_in(believing, room, server.keys[0].token(name()))
        await has_failed(other, http, "not reached")
        assert not await is_let_in(other, room, server.keys[0].token(name()))
    finally:
        server.close()


async def test_a_file_is_read_again_on_sighup_and_a_faulty_one_changes_nothing(build, tmp_path, room, name, http):
    first, second = Key("first"), Key("second")
    file = tmp_path / "jwks.json"

    def publish(*keys: Key):
        file.write_text(json.dumps({"keys": [key.jwk for key in keys]}))

    publish(first)
    reloads = Reloads(build(**settings(f"file:{file}", reload={"jwks_pause": "30m"})))
    house = reloads.house
    assert await is_let_in(house, room, first.token(name())), "it is read before anybody is let in"
    publish(first, second)
    assert f"presence tokens of {ISSUER}" in await reloads.read()
    await lets_in(house, room, second.token(name()))
    for content, why in (("{", "not a JSON object"), (json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}]}), "key 1 is symmetric")):
        file.write_text(content)
        said = await reloads.read(REFUSED)
        assert "presence.issuers." in said and ISSUER in said and why in said, said
        assert await is_let_in(house, room, second.token(name()))
        checked = subprocess.run([houses.BINARY, "check-config", house.config], capture_output=True, text=True, cwd=house.folder)
        assert checked.returncode == 1 and why in checked.stdout, checked.stdout
    publish(second)
    await reloads.read()
    assert await is_let_in(house, room, first.token(name())), "a former one"
    checked = subprocess.run([houses.BINARY, "check-config", house.config], capture_output=True, text=True, cwd=house.folder)
    assert checked.returncode == 0 and f"1 keys in file:{file}" in checked.stdout, checked.stdout + checked.stderr


async def test_the_settings_may_move_from_a_key_to_a_set_and_back(build, key_server, room, name):
    house = build(log={"level": "info"}, reload=QUICK)
    reloads = Reloads(house)
    by_file, by_set = tokens.token(name(), algorithm="ES256"), key_server.keys[0]
    es256 = tokens.ISSUERS["ES256"].name
    of_set = by_set.token(name(), iss=es256)
    assert await is_let_in(house, room, by_file) and not await is_let_in(house, room, of_set)
    before = {"audiences": tokens.AUDIENCES, "algorithm": "ES256", "key_file": str(house.folder / "es256.pem")}
    reloads.change(presence={"issuers": {es256: {"jwks": key_server.url, "algorithm": None, "key_file": None}}})
    await reloads.read()
    await lets_in(house, room, of_set)
    assert await is_let_in(house, room, by_file), "its key was good before"
    reloads.change(presence={"issuers": {es256: before | {"jwks": None}}})
    await reloads.read()
    await lets_in(house, room, by_file)
    assert await is_let_in(house, room, of_set), "the keys of the set were good before"


async def test_operators_see_how_old_keys_and_certificates_are(build, key_server, tmp_path, http):
    files = houses.files_of(secure.write(tmp_path))
    house = build(**settings(f"{key_server.url}?word=hidden-in-the-query"), tls=files)
    house.secrets.append("hidden-in-the-query")

    async def is_read() -> bool:
        return (await state(house, http))["read_at"] is not None

    await comes_true(is_read)
    node = (await http.get(f"{house.internal}/api/v1/node")).json()
    assert node["certificates"] and all(one["not_before"] < one["not_after"] for one in node["certificates"])
    of_set = await state(house, http, "quiz")
    assert of_set["place"] == key_server.url and of_set["changed_at"] and of_set["keys"] == 1
