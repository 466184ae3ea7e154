"""Who comes in: logins, tokens and their ends, roles, users."""

import asyncio
import time

import jwt
import pytest

from labs import NOBODY, PASSWORD, Person, claims, is_error, seconds, seen, signed, upgrade_refused
from labs_agent import BANNER


async def login(lab, username: str, password: str = PASSWORD):
    """POST /auth/login, whatever comes of it."""
    answer = await lab.nobody.ask("POST", "/auth/login", {"username": username, "password": password})
    if answer.status_code == 200:
        lab.house.secrets.append(answer.json()["token"])
    return answer


# --- logins


async def test_a_login_gives_a_token_for_a_day(lab):
    student = await lab.person()
    said = (await login(lab, student.name)).json()
    assert set(said) == {"token", "user", "expires_at"} and set(said["user"]) == {"id", "username", "email", "role", "created_at"}
    assert (said["user"]["id"], said["user"]["role"]) == (student.user["id"], "user")
    token = claims(said["token"])
    assert jwt.get_unverified_header(said["token"])["alg"] == "HS256"
    assert seconds(said["expires_at"]) == token["exp"] and abs(token["exp"] - time.time() - 86_400) < 60 and token["jti"]
    again = (await login(lab, student.name)).json()
    assert claims(again["token"])["jti"] != token["jti"]
    assert await Person(lab.house, lab.http, said["token"]).listed("/sessions") == []
    rows = await lab.admin.get(f"/users/{student.user['id']}")
    assert abs(seconds(rows["last_login"]) - time.time()) < 60


async def test_a_wrong_password_and_an_unknown_user_look_the_same(lab, name):
    student = await lab.person()
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    told = []
    for _ in range(3):
        for kind, username in (("known", student.name), ("unknown", name("nobody"))):
            since = time.monotonic()
            said = is_error(await login(lab, username, "wrong-password"), "AUTH_INVALID_CREDENTIALS")
            took[kind].append(time.monotonic() - since)
            told.append((said["error"], said["message"], said["details"]))
    assert set(map(str, told)) == {str(("Authentication failed", "Invalid username or password", {}))}
    assert min(took["unknown"]) > 0.4 * min(took["known"]), took


async def test_who_is_disabled_is_told_so_only_with_the_right_password(lab):
    student = await lab.person()
    await lab.admin.good("PATCH", f"/users/{student.user['id']}", {"active": False})
    is_error(await login(lab, student.name), "AUTH_INSUFFICIENT_PERMISSIONS")
    is_error(await login(lab, student.name, "wrong-password"), "AUTH_INVALID_CREDENTIALS")
    await student.refused("AUTH_TOKEN_INVALID", "GET", "/sessions")
    await lab.admin.good("PATCH", f"/users/{student.user['id']}", {"active": True})
    assert (await login(lab, student.name)).status_code == 200
    await student.good("GET", "/sessions")


@pytest.mark.parametrize("given", [
    ({}, "MISSING_REQUIRED_FIELD", "username"), ({"username": "a"}, "MISSING_REQUIRED_FIELD", "password"),
    ({"username": None, "password": "x"}, "MISSING_REQUIRED_FIELD", "username"),
    ({"username": 7, "password": "x"}, "VALIDATION_FAILED", "username"),
    ({"username": "a", "password": []}, "VALIDATION_FAILED", "password"), ([], "VALIDATION_FAILED", None), ("x", "VALIDATION_FAILED", None),
], ids=str)
async def test_a_login_that_is_not_as_it_must_be(lab, given):
    body, code, field = given
    await lab.nobody.refused(code, "POST", "/auth/login", body, field)


# --- tokens


async def test_the_four_faults_of_tokens(lab):
    student = await lab.person()
    for path in ("/sessions", "/agents", "/agents/stats", "/templates", "/users", f"/sessions/{NOBODY}", f"/sessions/{NOBODY}/logs"):
        await lab.nobody.refused("AUTH_TOKEN_MISSING", "GET", path)
        await lab.nobody.refused("AUTH_TOKEN_INVALID", "GET", path, headers={"authorization": "Bearer rubbish"})
    for method, path in (("POST", "/auth/logout"), ("POST", "/sessions"), ("PATCH", "/agents/x"), ("DELETE", f"/sessions/{NOBODY}")):
        await lab.nobody.refused("AUTH_TOKEN_MISSING", method, path)
    said = claims(student.token)
    expired = signed(lab.house, said | {"iat": said["iat"] - 90_000, "exp": int(time.time()) - 60})
    await Person(lab.house, lab.http, expired).refused("AUTH_TOKEN_EXPIRED", "GET", "/sessions")
    await student.good("POST", "/auth/logout")
    await student.refused("AUTH_TOKEN_INVALID", "GET", "/sessions")
    await student.refused("AUTH_TOKEN_INVALID", "POST", "/auth/logout")


async def test_what_is_no_token_of_ours(lab):
    student = await lab.person()
    said = claims(student.token)
    unsigned = jwt.encode(said, None, algorithm="none")
    forged = [
        signed(lab.house, said, secret=b"x" * 32), unsigned, student.token[:-4] + "AAAA", student.token.rsplit(".", 1)[0],
        signed(lab.house, said | {"exp": None}), signed(lab.house, said | {"jti": None}), signed(lab.house, said | {"user_id": None}),
        signed(lab.house, said | {"user_id": "x"}), signed(lab.house, said | {"iss": "x"}), signed(lab.house, said | {"role": "x"}),
    ]
    for token in forged:
        await Person(lab.house, lab.http, token).refused("AUTH_TOKEN_INVALID", "GET", "/sessions")
        assert await upgrade_refused(lab.house, "AUTH_TOKEN_INVALID", f"/vnc-viewer/{NOBODY}?token={token}") == 401
    await Person(lab.house, lab.http, signed(lab.house, said | {"user_id": NOBODY})).refused("AUTH_TOKEN_INVALID", "GET", "/sessions")
    for scheme in ("Basic eA==", "Bearer", student.token):
        await lab.nobody.refused("AUTH_TOKEN_INVALID", "GET", "/sessions", headers={"authorization": scheme})
    await lab.nobody.good("GET", "/sessions", headers={"authorization": f"bearer {student.token}"})


async def test_a_logout_counts_on_every_shard_and_for_this_token_alone(lab):
    student = await lab.person()
    other = student.renewed(student.user)
    for _ in range(5):
        leaving = student.renewed(student.user)
        await leaving.good("POST", "/auth/logout")
        await asyncio.gather(*(leaving.refused("AUTH_TOKEN_INVALID", "GET", "/sessions") for _ in range(8)))
    await other.good("GET", "/sessions")


async def test_a_logout_closes_the_sockets_of_its_token_within_a_second_on_every_shard(lab):
    agent = await lab.joined()
    student = await lab.person()
    other = student.renewed(student.user)
    sessions = [await student.running(platform=agent.platform) for _ in range(3)]
    viewers = [await student.view(session["id"], shard) for session, shard in zip(sessions, lab.house.two_shards)]
    stays = await other.view(sessions[2]["id"])
    for viewer in (*viewers, stays):
        await seen(viewer, len(BANNER))
    since = time.monotonic()
    await student.good("POST", "/auth/logout")
    assert [await viewer.close_code() for viewer in viewers] == [1008, 1008]
    # It is told at once. A second is the promise, which a machine that stands still cannot keep.
    assert time.monotonic() - since < 5
    stays.send(b"still here")
    assert await seen(stays, 10) == b"still here"
    await student.view_refused("AUTH_TOKEN_INVALID", sessions[0]["id"])


async def test_who_is_disabled_loses_their_sockets_and_opens_none(lab):
    agent, student = await lab.joined(), await lab.person()
    sessions = [await student.running(platform=agent.platform) for _ in range(2)]
    viewers = [await student.view(session["id"], shard) for session, shard in zip(sessions, lab.house.two_shards)]
    for viewer in viewers:
        await seen(viewer, len(BANNER))
    await lab.admin.good("DELETE", f"/users/{student.user['id']}", status=204)
    assert [await viewer.close_code(1) for viewer in viewers] == [1008, 1008]
    await student.view_refused("AUTH_TOKEN_INVALID", sessions[0]["id"])


# --- roles and users


async def test_what_is_for_admins(lab):
    student = await lab.person()
    agent = await lab.joined()
    id = student.user["id"]
    body = {"username": "x", "email": "x@y", "password": PASSWORD}
    for method, path, body in (
        ("GET", "/users", None), ("POST", "/users", body), ("GET", f"/users/{id}", None), ("PATCH", f"/users/{id}", {"role": "admin"}),
        ("DELETE", f"/users/{id}", None), ("PATCH", f"/agents/{agent.name}", {"status": "draining"}),
        ("POST", "/templates", {"name": "x"}), ("PUT", "/templates/x", {}), ("DELETE", "/templates/firefox-browser", None),
    ):
        await student.refused("AUTH_INSUFFICIENT_PERMISSIONS", method, path, body)
    assert (await student.agent(agent.name))["status"] == "online", "everyone may look"
    await student.good("GET", "/templates")


async def test_a_role_counts_from_the_next_request_on(lab):
    student = await lab.person()
    await student.refused("AUTH_INSUFFICIENT_PERMISSIONS", "GET", "/users")
    await lab.admin.good("PATCH", f"/users/{student.user['id']}", {"role": "admin"})
    await student.good("GET", "/users")
    await lab.admin.good("PATCH", f"/users/{student.user['id']}", {"role": "user"})
    await student.refused("AUTH_INSUFFICIENT_PERMISSIONS", "GET", "/users")


async def test_users_are_made_listed_changed_and_disabled(lab, name):
    username = name("john.doe")
    body = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
    made = await lab.admin.good("POST", "/users", body, 201)
    assert (made["role"], made["active"]) == ("user", True)
    await lab.admin.refused("USER_ALREADY_EXISTS", "POST", "/users", body)
    path = f"/users/{made['id']}"
    assert await lab.admin.get(path) == made | {"last_login": None}
    changed = await lab.admin.good("PATCH", path, {"email": "new@example.com"})
    assert changed == made | {"last_login": None, "email": "new@example.com"} == await lab.admin.get(path)
    await lab.admin.good("DELETE", path, status=204)
    assert (await lab.admin.get(path))["active"] is False
    await lab.admin.refused("USER_NOT_FOUND", "GET", f"/users/{NOBODY}")
    own = f"/users/{lab.admin.user['id']}"
    await lab.admin.refused("VALIDATION_FAILED", "DELETE", own)
    await lab.admin.refused("VALIDATION_FAILED", "PATCH", own, {"role": "user"})


@pytest.mark.parametrize("given", [
    ({"username": None}, "MISSING_REQUIRED_FIELD", "username"), ({"email": None}, "MISSING_REQUIRED_FIELD", "email"),
    ({"password": None}, "MISSING_REQUIRED_FIELD", "password"), ({"username": "a b"}, "VALIDATION_FAILED", "username"),
    ({"email": "x"}, "VALIDATION_FAILED", "email"), ({"password": "short"}, "VALIDATION_FAILED", "password"),
    ({"role": "operator"}, "VALIDATION_FAILED", "role"),
], ids=str)
async def test_a_user_who_is_not_as_they_must_be(lab, name, given):
    wrong, code, field = given
    body = {"username": name(), "email": "a@b.c", "password": PASSWORD} | wrong
    await lab.admin.refused(code, "POST", "/users", body, field)


async def test_passwords_are_changed_by_their_owner_and_by_admins(lab):
    student, other = await lab.person(), await lab.person()
    path = f"/users/{student.user['id']}/password"
    await student.refused("MISSING_REQUIRED_FIELD", "PUT", path, {"password": "another-password"}, "current_password")
    wrong = {"password": "another-password", "current_password": "wrong-password"}
    await student.refused("AUTH_INVALID_CREDENTIALS", "PUT", path, wrong)
    await other.refused("AUTH_INSUFFICIENT_PERMISSIONS", "PUT", path, wrong | {"current_password": PASSWORD})
    await student.good("PUT", path, wrong | {"current_password": PASSWORD}, 204)
    is_error(await login(lab, student.name), "AUTH_INVALID_CREDENTIALS")
    assert (await login(lab, student.name, "another-password")).status_code == 200
    await student.good("GET", "/sessions")
    await lab.admin.good("PUT", path, {"password": PASSWORD}, 204)
    assert (await login(lab, student.name)).status_code == 200
