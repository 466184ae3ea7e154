"""Before the upgrade: every refusal with its status and text, in the order of the checks, and no secret in the log."""

import asyncio
import json
import secrets

import jwt
import pytest

import tokens
from quiz import (
    AUDIENCE, CREDENTIAL, EXACTLY_ONE, ISSUER, QUERY, ROLE, SESSION, UPGRADE, Owner, frames, is_true_soon, knock, owner_socket,
    session_socket, signed, subscribe,
)

WAYS = {"plain": (), "upgrade": UPGRADE}


def is_refusal(answer, denial: tuple[int, str]):
    """The status, and JSON with the text both as `error` and as `message`."""
    status, text = denial
    assert answer.status_code == status, answer
    assert answer.headers["content-type"].startswith("application/json"), answer.headers
    said = json.loads(answer.body)
    assert (said["error"], said["message"]) == (text, text), said


async def refused(house, query: str, denial: tuple[int, str]):
    """Both a plain GET and an upgrade hear it."""
    for headers in WAYS.values():
        is_refusal(await knock(house, f"/ws{query}", *headers), denial)


NO_CREDENTIAL = ["", "?", "?other=1", "?tokens=a&sessions=b", "?Token=a", "?TOKEN=a"]


@pytest.mark.parametrize("query", NO_CREDENTIAL)
async def test_neither_is_not_exactly_one(house, query):
    await refused(house, query, EXACTLY_ONE)


async def test_both_are_not_exactly_one_whatever_they_are_worth(house, http, teacher):
    attempt = await teacher.begin((await teacher.quiz())["id"])
    for query in (
        "?token=a&session=b", "?session=b&token=a", "?token=&session=", f"?token={teacher.token}&session=",
        f"?token={teacher.token}&session={attempt.session}", f"?session={attempt.session}&x=1&token=",
    ):
        await refused(house, query, EXACTLY_ONE)


MALFORMED = [
    "?token=%ZZ", "?token=%", "?token=%4", "?token=a%4", "?session=%ZZ", "?session=%G0", "?token=%FF", "?token=%C3%28", "?session=%80",
    "?token=a&token=b", "?token=a&token=a", "?token=&token=", "?session=a&session=b", "?token=a&session=b&session=c", "?%FF=1",
    "?x=%ZZ", "?token=%ZZ&session=b", "?x=%FF&token=a", "?t%6Fken=a&token=b",
]


@pytest.mark.parametrize("query", MALFORMED)
async def test_a_malformed_query_is_refused_first_of_all(house, query):
    await refused(house, query, QUERY)


@pytest.mark.parametrize("query", ["{good}&token={good}", "{good}&x=%ZZ", "{good}&%E2%28%A1=1"])
async def test_a_malformed_query_is_refused_beside_a_good_credential(house, teacher, query):
    await refused(house, "?token=" + query.format(good=teacher.token), QUERY)


BAD_TOKENS = {
    "empty": lambda house: "",
    "rubbish": lambda house: "rubbish",
    "three parts of rubbish": lambda house: "a.b.c",
    "expired": lambda house: signed(house, "teacher", lifetime_s=-60),
    "not yet good": lambda house: signed(house, "teacher", nbf=4_000_000_000),
    "another's signature": lambda house: signed(house, "teacher", secret=b"x" * 64),
    "unsigned": lambda house: jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "teacher"}, None, algorithm="none"),
    "another issuer": lambda house: signed(house, "teacher", iss="somebody.example.org"),
    "another audience": lambda house: signed(house, "teacher", aud="elsewhere.local"),
    "no audience": lambda house: signed(house, "teacher", aud=None),
    "no subject": lambda house: signed(house, None),
    "presence's issuer": lambda house: tokens.token("teacher"),
    "a key that nobody has": lambda house: "hr_" + secrets.token_urlsafe(32),
    "too short a key": lambda house: "hr_" + "a" * 42,
    "4,000 letters": lambda house: "a" * 4000,
}


@pytest.mark.parametrize("fault", BAD_TOKENS)
async def test_a_bad_credential_is_refused(house, fault):
    await refused(house, f"?token={BAD_TOKENS[fault](house)}", CREDENTIAL)


async def test_a_parameter_without_a_value_is_there_and_empty(house):
    await refused(house, "?token", CREDENTIAL)
    await refused(house, "?session", SESSION)


async def test_a_changed_token_is_refused(house, teacher):
    head, body, signature = teacher.token.split(".")
    other = "A" if signature[5] != "A" else "B"
    await refused(house, f"?token={head}.{body}.{signature[:5]}{other}{signature[6:]}", CREDENTIAL)
    await refused(house, f"?token={teacher.token}.", CREDENTIAL)
    await refused(house, f"?token=%20{teacher.token}", CREDENTIAL)


async def test_a_key_of_role_user_is_refused_as_such(house, teacher):
    key = (await teacher.key("user"))["key"]
    await refused(house, f"?token={key}", ROLE)


async def test_a_revoked_key_is_no_credential(house, teacher):
    for role in ("owner", "user"):
        made = await teacher.key(role)
        await teacher.good("DELETE", f"/apikeys/{made['id']}")
        for _ in range(6):  # whichever shard is asked
            await refused(house, f"?token={made['key']}", CREDENTIAL)


BAD_SESSIONS = {
    "empty": lambda session: "",
    "rubbish": lambda session: "abc123-session-token",
    "cut": lambda session: session[:-1],
    "longer": lambda session: session + "A",
    "changed at its beginning": lambda session: ("A" if session[0] != "A" else "B") + session[1:],
    "changed in its middle": lambda session: session[:20] + ("A" if session[20] != "A" else "B") + session[21:],
    "4,000 letters": lambda session: "a" * 4000,
    "not ASCII": lambda session: "%D0%B6" * 20,
}


@pytest.mark.parametrize("fault", BAD_SESSIONS)
async def test_a_bad_session_is_refused(house, teacher, fault):
    attempt = await teacher.begin((await teacher.quiz())["id"])
    await refused(house, f"?session={BAD_SESSIONS[fault](attempt.session)}", SESSION)


async def test_a_credential_under_the_other_name_is_none(house, teacher):
    attempt = await teacher.begin((await teacher.quiz())["id"])
    key = (await teacher.key())["key"]
    await refused(house, f"?token={attempt.session}", CREDENTIAL)
    for wrong in (teacher.token, key, attempt.id):
        await refused(house, f"?session={wrong}", SESSION)


async def test_a_session_of_another_server_is_refused(house, build, http, teacher):
    other = build()
    elsewhere = Owner(other, http, "teacher")
    theirs = await elsewhere.begin((await elsewhere.quiz())["id"])
    await refused(house, f"?session={theirs.session}", SESSION)


@pytest.mark.parametrize("end", ["submit", "force", "time"])
async def test_a_session_ends_with_its_attempt(house, teacher, end):
    quiz = await teacher.quiz(time_limit_seconds=1 if end == "time" else 0)
    attempt = await teacher.begin(quiz["id"])
    socket = await attempt.listen()
    if end == "submit":
        await attempt.submit()
    if end == "force":
        await teacher.good("POST", f"/quizzes/{quiz['id']}/force-submit")
    assert (await socket.json())["t"] == "attempt_closed"
    for _ in range(3):
        await refused(house, f"?session={attempt.session}", SESSION)


async def test_good_credentials_without_an_upgrade_are_asked_for_one(house, teacher):
    attempt = await teacher.begin((await teacher.quiz())["id"])
    key = (await teacher.key())["key"]
    for query in (f"?token={teacher.token}", f"?token={key}", f"?session={attempt.session}"):
        for headers in ((), ("Connection: Upgrade",), ("Upgrade: websocket",)):
            answer = await knock(house, f"/ws{query}", *headers)
            assert answer.status_code in (400, 426), (query, headers, answer)
            if answer.status_code == 426:
                assert answer.headers["upgrade"].lower() == "websocket"


async def test_a_wrong_version_is_not_upgraded(house, teacher):
    headers = [header.replace(": 13", ": 12") for header in UPGRADE]
    answer = await knock(house, f"/ws?token={teacher.token}", *headers)
    assert answer.status_code in (400, 426)
    if answer.status_code == 426:
        assert answer.headers["sec-websocket-version"] == "13"


async def test_good_credentials_are_upgraded(house, teacher):
    attempt = await teacher.begin((await teacher.quiz())["id"])
    key = (await teacher.key())["key"]
    escaped = "".join(f"%{ord(letter):02X}" for letter in teacher.token)
    for query in (
        f"?token={teacher.token}", f"?token={key}", f"?session={attempt.session}", f"?token={escaped}",
        f"?x=1&x=2&y&token={teacher.token}&z=%20", f"?session={attempt.session}&utm_source=mail", f"?&token={teacher.token}&",
    ):
        for origin in ((), ("Origin: https://school.example.org",), ("Origin: null",)):
            answer = await knock(house, f"/ws{query}", *UPGRADE, "Sec-WebSocket-Extensions: permessage-deflate", *origin)
            assert answer.status_code == 101 and "sec-websocket-extensions" not in answer.headers, query


async def test_the_credential_is_looked_at_only_when_connecting(house, teacher):
    """A token that expires and a key that is revoked: the sockets stay, a reconnect is refused."""
    quiz = await teacher.quiz()
    key = await teacher.key()
    short = signed(house, teacher.sub, lifetime_s=2)
    sockets = [await owner_socket(house, token, shard) for token in (short, key["key"]) for shard in set(house.two_shards)]
    await teacher.good("DELETE", f"/apikeys/{key['id']}")

    async def expired():
        return (await knock(house, f"/ws?token={short}")).status_code == 401

    await is_true_soon(expired)
    await refused(house, f"?token={short}", CREDENTIAL)
    await refused(house, f"?token={key['key']}", CREDENTIAL)
    for socket in sockets:
        await subscribe(socket, f"quiz:{quiz['id']}")
    await teacher.begin(quiz["id"])
    for socket in sockets:
        assert (await socket.json())["t"] == "attempt_quiz"


async def test_there_is_no_socket_elsewhere(house, teacher):
    for path in ("/", "/ws/", "/api/v1/ws", "/WS", "/wss"):
        answer = await knock(house, f"{path}?token={teacher.token}", *UPGRADE)
        assert 400 <= answer.status_code < 500, (path, answer)


async def test_many_refusals_at_once_leave_the_house_well(house, teacher):
    await asyncio.gather(*(refused(house, query, denial) for query, denial in [
        ("", EXACTLY_ONE), ("?token=x", CREDENTIAL), ("?session=x", SESSION), ("?token=%ZZ", QUERY),
    ] * 25))
    await owner_socket(house, teacher.token)


async def test_no_secret_and_no_query_is_ever_logged(build, http, name):
    """All that may go wrong, and a life, under the most talkative log."""
    house = build(log={"level": "trace"}, quiz={"goodbye": "100ms"})
    teacher = Owner(house, http, name("teacher"))
    password = secrets.token_hex(12)
    house.secrets.append(password)
    made = await http.post(f"{house.internal}/api/v1/owners", json={"name": teacher.sub, "password": password})
    assert made.status_code == 201
    signed_in = await teacher.good("POST", "/auth/sign-in", {"name": teacher.sub, "password": password})
    await teacher.refused("AUTH-001", "POST", "/auth/sign-in", {"name": teacher.sub, "password": password + "x"})
    owner_key, user_key = (await teacher.key("owner"))["key"], (await teacher.key("user"))["key"]
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    key_files = [house.folder / "data/keys" / name for name in ("quiz.hs256", "quiz.session")]
    house.secrets += [signed_in["access_token"], *(file.read_text(errors="replace").strip() for file in key_files)]
    await refused(house, f"?token={user_key}", ROLE)
    await refused(house, f"?token={owner_key}&token={owner_key}", QUERY)
    await refused(house, f"?token={owner_key}&session={attempt.session}", EXACTLY_ONE)
    await refused(house, f"?token={signed(house, 'teacher', lifetime_s=-9)}", CREDENTIAL)
    await refused(house, f"?session={attempt.session}x", SESSION)
    watching = await owner_socket(house, owner_key)
    await subscribe(watching, f"quiz:{quiz['id']}")
    listening = await session_socket(house, attempt.session)
    await attempt.answer(0, 1)
    await attempt.flag("tab_switch")
    await attempt.refused("VAL-001", "POST", f"{attempt.path}/answers", {})
    await attempt.refused("AUTH-001", "GET", f"{attempt.path}x")
    await attempt.submit()
    await frames(watching, 3)
    await frames(listening, 2)
    assert await listening.close_code() == 1000
    house.stop()
    # The start's own words, which are no log, show tokens to try it with: two lines each, whenever they come.
    tries = ("  Token of a ", "  Join a classroom: ", "  Make a quiz: ")
    log = "".join(line for line in house.log.read_text(errors="replace").splitlines(True) if not line.startswith(tries))
    assert "TRACE" in log or '"trace"' in log.lower(), "the log was to be talkative"
    # A library calls its numbers of descriptors so, where it is built to log.
    log = log.replace("token=Token(", "")
    for trace in ("token=", "session=", "x-api-key: hr_", "Bearer ey"):
        assert trace not in log, trace


async def test_what_users_say_is_not_logged_above_debug(build, http, name):
    house = build(log={"level": "info"})
    teacher = Owner(house, http, name("teacher"))
    words = {part: secrets.token_hex(8) for part in ("title", "alias", "answer", "label", "detail", "event", "key")}
    essay = {"text": words["title"], "points": 1.0, "type": "short_text", "correct": []}
    quiz = await teacher.quiz([essay], title=words["title"])
    event = await teacher.make("/events", {"title": words["event"]})
    await teacher.key(label=words["key"])
    attempt = await teacher.begin(quiz["id"], alias=words["alias"], event_id=event["id"])
    listening = await attempt.listen()
    listening.send(words["answer"])
    await attempt.answer(0, words["answer"])
    await attempt.flag(words["label"], detail={"text": words["detail"]})
    await attempt.submit()
    house.stop()
    log = house.log.read_text(errors="replace")
    assert log
    for part, word in words.items():
        assert word not in log and word.upper() not in log, part
