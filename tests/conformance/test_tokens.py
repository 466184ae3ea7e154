"""Tokens and permission: each row of the two tables, and the order in which they are looked at."""

import base64
import hashlib
import hmac
import json
import secrets
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import tokens
from client import open_socket, sign_in
from contract import connect_request, failure
from tokens import ASKED, ISSUERS, LISTED, OPEN, UNLISTED, UNRULED, token


async def answer(house, room, signed: str, label: str = "web"):
    """A socket that has just asked to be let in."""
    socket = await open_socket(house)
    socket.send(connect_request(room, signed, label))
    return socket


@pytest.mark.parametrize("algorithm", ISSUERS)
async def test_each_algorithm_is_taken_from_its_issuer(house, room, name, algorithm):
    await sign_in(house, room, token(name(), algorithm=algorithm))


async def test_exp_may_be_left_out(house, room, name):
    await sign_in(house, room, token(name(), lifetime_s=None))


async def test_other_claims_do_not_matter(house, room, name):
    await sign_in(house, room, token(name(), nbf=int(time.time()) - 5, iat=int(time.time()), role="teacher", jti=secrets.token_hex(4)))


async def test_an_audience_in_two_parts_is_known_by_its_first(house, http, room, name):
    sub, aud = name(), f"{OPEN}:tenant"
    await sign_in(house, room, token(sub, aud))
    listed = await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers={"authorization": f"Bearer {token(name())}"})
    assert [agent["agent_id"] for agent in listed.json()] == [tokens.agent_id(sub, aud=aud)]


def tampered(sub: str) -> str:
    """A good token whose subject was changed after it was signed."""
    head, _, signature = token(sub).split(".")
    body = {"iss": ISSUERS["HS256"].name, "aud": OPEN, "sub": "teacher", "exp": int(time.time()) + 60}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b'=').decode()}.{signature}"


def unsigned(sub: str) -> str:
    """`alg: none`."""
    parts = [{"alg": "none", "typ": "JWT"}, {"iss": ISSUERS["HS256"].name, "aud": OPEN, "sub": sub}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def confused(sub: str, public: bytes) -> str:
    """HS256 with an issuer's public RSA key as the shared secret: the classic confusion."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"iss": ISSUERS["RS256"].name, "aud": OPEN, "sub": sub}]
    signed = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    mac = hmac.new(public, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


BAD = {
    "signed with another secret": lambda sub: token(sub, secret=secrets.token_hex(32)),
    "signed with another EC key": lambda sub: token(sub, algorithm="ES256", secret=ec.generate_private_key(ec.SECP256R1())),
    "changed after signing": tampered,
    "without a signature": unsigned,
    "with the public key as secret": lambda sub: confused(sub, ISSUERS["RS256"].public),
    "by another issuer's algorithm": lambda sub: token(sub, algorithm="ES256", iss=ISSUERS["RS256"].name),
    "expired long ago": lambda sub: token(sub, lifetime_s=-3600),
    "expired just now": lambda sub: token(sub, lifetime_s=-2),
    "of an unknown issuer": lambda sub: token(sub, iss="somebody.example.org"),
    "without an issuer": lambda sub: token(sub, iss=None),
    "for an unlisted audience": lambda sub: token(sub, UNLISTED),
    "for an unlisted audience in two parts": lambda sub: token(sub, f"{UNLISTED}:{OPEN}"),
    "for a list of audiences": lambda sub: token(sub, [OPEN]),
    "without an audience": lambda sub: token(sub, None),
    "without a subject": lambda sub: token(None),
    "expired in 1970": lambda sub: token(sub, exp=1),
    "rubbish": lambda sub: "rubbish",
    "empty": lambda sub: "",
    "three empty parts": lambda sub: "..",
    "64 KiB of rubbish": lambda sub: "x" * 60_000,
}


@pytest.mark.parametrize("fault", BAD)
async def test_a_bad_token_is_unauthenticated(house, room, name, fault):
    socket = await answer(house, room, BAD[fault](name()))
    await socket.failure(failure("unauthenticated"))


async def test_an_audience_without_a_rule_is_denied(house, room, name):
    socket = await answer(house, room, token(name(), UNRULED))
    await socket.failure(failure("access_denied"))


async def test_the_list_lets_in_whom_it_names(house, room, name):
    await sign_in(house, room, token(tokens.LISTED_SUBJECTS[0], LISTED))
    socket = await answer(house, room, token(name(), LISTED))
    await socket.failure(failure("access_denied"))


async def test_the_service_is_asked_for_subject_object_and_action(house, permissions, http, room, name):
    sub = name()
    await sign_in(house, room, token(sub, ASKED))
    question = next(question for question in permissions.asked if sub in json.dumps(question["subject"]))
    assert ASKED in json.dumps(question["subject"])
    assert json.dumps(["classrooms", str(room)]) in json.dumps(question["object"])
    assert question["action"] == "connect"
    reader = name()
    url = f"{house.url}/api/v1/classrooms/{room}/agents"
    assert (await http.get(url, headers={"authorization": f"Bearer {token(reader, ASKED)}"})).status_code == 200
    assert [question["action"] for question in permissions.asked if reader in json.dumps(question["subject"])] == ["read"]


@pytest.mark.parametrize("stem", ["denied", "broken", "rubbish"])
async def test_without_the_services_yes_it_is_denied(house, room, name, stem):
    socket = await answer(house, room, token(name(stem), ASKED))
    await socket.failure(failure("access_denied"))


async def test_a_service_that_does_not_answer_in_time_is_a_no(house, room, name):
    began = time.monotonic()
    socket = await answer(house, room, token(name("stuck"), ASKED))
    heard = await socket.failure(failure("access_denied"))
    # The service would take half a minute.
    assert 6 <= heard.at - began <= 25


async def test_a_service_that_is_not_there_is_a_no(build, room, name):
    house = build(presence={"permissions": {ASKED: {"type": "http", "url": "http://127.0.0.1:9/authz", "timeout": "1s"}}})
    socket = await answer(house, room, token(name(), ASKED))
    await socket.failure(failure("access_denied"))


async def test_who_leaves_while_the_service_thinks_was_never_there(house, http, room, name):
    watcher = await sign_in(house, room, token(name()), shard=house.two_shards[0])
    for parting in ("abort", "say_close"):
        socket = await open_socket(house, house.two_shards[1])
        socket.send(connect_request(room, token(name("slow"), ASKED)))
        await socket.quiet(0.3)
        getattr(socket, parting)()
    await watcher.quiet(4.5)
    listed = await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers={"authorization": f"Bearer {token(name())}"})
    assert len(listed.json()) == 1


async def test_serialization_is_looked_at_before_the_token_and_the_token_before_permission(house, permissions, name):
    sub = name("denied")
    socket = await answer(house, "no uuid", token(sub, ASKED, secret=secrets.token_hex(32)))
    await socket.failure(failure("serialization_failed"))
    socket = await answer(house, "0" * 32, token(sub, ASKED, secret=secrets.token_hex(32)))
    await socket.failure(failure("unauthenticated"))
    assert not [question for question in permissions.asked if sub in json.dumps(question["subject"])]
