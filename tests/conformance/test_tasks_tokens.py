"""Who may: the socket's upgrade and the routes, with tokens of every kind of badness and of goodness."""

import asyncio
import base64
import json
import secrets
import time
import uuid

import pytest

import tokens
from labs import PASSWORD
from tasks import Person, claims, detail, signed, upgrade_refused

USER = "01936400-cccc-7def-8000-000000000003"


def unsigned(body: dict, **header) -> str:
    """A token that says of itself that nobody signed it."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"typ": "JWT"} | header, body)]
    return ".".join([*parts, ""])


def tampered(house) -> str:
    """Another's claims under a good signature."""
    head, _, tail = signed(house, claims(USER)).split(".")
    body = claims(str(uuid.uuid4()), role="admin")
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b'=').decode()}.{tail}"


def key_of(house, name: str) -> bytes:
    """Another key of this server."""
    return (house.folder / f"data/keys/{name}.hs256").read_bytes().strip()


BAD = {
    "rubbish": lambda house: "rubbish",
    "three dots": lambda house: "a.b.c",
    "only dots": lambda house: "..",
    "long": lambda house: "x" * 4_000,
    "expired": lambda house: signed(house, claims(USER, exp=int(time.time()) - 1)),
    "expired long ago": lambda house: signed(house, claims(USER, exp=1)),
    "never expires": lambda house: signed(house, claims(USER, exp=None)),
    "another secret": lambda house: signed(house, claims(USER), secrets.token_bytes(32)),
    "empty secret": lambda house: signed(house, claims(USER), b"\0" * 32),
    "another algorithm": lambda house: signed(house, claims(USER), algorithm="HS512"),
    "nobody's signature": lambda house: unsigned(claims(USER), alg="none"),
    "nobody's signature, in capitals": lambda house: unsigned(claims(USER), alg="NONE"),
    "no signature": lambda house: signed(house, claims(USER)).rsplit(".", 1)[0] + ".",
    "half a signature": lambda house: signed(house, claims(USER))[:-20],
    "a tampered body": tampered,
    "no subject": lambda house: signed(house, claims(USER, sub=None)),
    "an empty subject": lambda house: signed(house, claims(USER, sub="")),
    "a number as subject": lambda house: signed(house, claims(USER, sub=5)),
    "a quiz's key": lambda house: signed(house, claims(USER), key_of(house, "quiz")),
    "a key of labs": lambda house: signed(house, claims(USER), key_of(house, "labs")),
}


@pytest.mark.parametrize("kind", BAD)
async def test_what_is_no_token_of_ours_is_refused_before_the_upgrade(office, kind):
    token = BAD[kind](office.house)
    said = await upgrade_refused(office.house, f"/ws?token={token}")
    answer = await Person(office.house, office.http, token=token).ask("GET", "/tasks")
    assert detail(answer, 401) == said and token not in said
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_no_token_at_all(office):
    for target in ("/ws", "/ws?", "/ws?token", "/ws?token=", "/ws?Token=x", "/ws?other=1", "/ws?token=%00"):
        await upgrade_refused(office.house, target)
    for method, path in (
        ("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/tasks/x"), ("PATCH", "/tasks/x"), ("DELETE", "/tasks/x"),
        ("POST", "/tasks/x/cancel"),
        ("GET", "/agents"), ("GET", "/agents/code-agent"), ("POST", "/agents/code-agent/execute"), ("GET", "/orchestration/workflows"),
        ("GET", "/orchestration/workflows/counting"), ("GET", "/orchestration/executions"), ("POST", "/orchestration/executions"),
        ("GET", "/orchestration/executions/x"), ("POST", "/orchestration/executions/x/cancel"),
    ):
        await office.nobody.refused(401, method, path)
        await office.nobody.refused(401, method, path, headers={"authorization": "Basic YTpi"})


async def test_the_token_may_stand_anywhere_in_the_query_and_be_escaped(office, clerk):
    token = clerk.token.replace(".", "%2E")
    for query in (f"token={token}", f"a=1&token={clerk.token}", f"token={clerk.token}&b="):
        other = Person(office.house, office.http, token=clerk.token)
        other.token = query.split("token=", 1)[1]
        socket = await other.connect()
        assert await socket.waiting() == []


async def test_a_bad_token_before_a_good_one_is_a_bad_token(office, clerk):
    await upgrade_refused(office.house, f"/ws?token=rubbish&token={clerk.token}")


async def test_a_login_of_chat_is_good_for_tasks(office, http, name):
    """One user, one token, both APIs of the listener."""
    username = name("staff")
    body = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
    made = await http.post(f"{office.house.internal}/api/v1/labs/users", json=body)
    assert made.status_code == 201, made.text
    wrong = await office.nobody.ask("POST", "/auth/login", {"email": body["email"], "password": "not-the-password"})
    assert wrong.status_code == 401
    said = await office.nobody.good("POST", "/auth/login", {"email": body["email"], "password": PASSWORD})
    assert (said["token_type"], said["expires_in"]) == ("bearer", 3600)
    office.house.secrets.append(said["access_token"])
    clerk = Person(office.house, http, made.json()["id"], said["access_token"])
    socket = await clerk.connect()
    task = await socket.execute("/count 1")
    await socket.course(task)
    assert (await clerk.task(task))["user_id"] == clerk.user
    assert await office.person(clerk.user).task(task)


async def test_who_may_not_sign_in_any_more_is_told_so_and_let_go(office, http, name):
    """Their sockets end on every shard, and their token opens nothing."""
    username = name("leaver")
    body = {"username": username, "email": f"{username}@example.com", "password": PASSWORD}
    made = await http.post(f"{office.house.internal}/api/v1/labs/users", json=body)
    clerk, other = office.person(made.json()["id"]), office.person()
    sockets = [await clerk.connect(shard) for shard in office.house.two_shards]
    stays = await other.connect()
    answer = await http.patch(f"{office.house.internal}/api/v1/labs/users/{username}", json={"active": False})
    assert answer.status_code == 200, answer.text
    for socket in sockets:
        await socket.closed("token_revoked", 1008)
    await upgrade_refused(office.house, f"/ws?token={clerk.token}")
    await clerk.refused(401, "GET", "/tasks")
    assert await stays.waiting() == []


async def test_a_token_that_expires_ends_nothing_that_was_begun(office):
    """It is looked at when a connection or a request comes."""
    clerk = office.person(exp=int(time.time()) + 6)
    socket = await clerk.connect()
    while time.time() < jwt_end(clerk.token) + 0.1:
        await asyncio.sleep(0.1)
    await upgrade_refused(office.house, f"/ws?token={clerk.token}")
    await clerk.refused(401, "GET", "/tasks")
    assert await socket.waiting() == []


def jwt_end(token: str) -> int:
    """`exp`."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["exp"]


# --- the secret of others


@pytest.fixture
def shared_secret(tmp_path, build_office):
    """A server that takes tokens of others, who sign them with a secret of a file."""
    secret = secrets.token_hex(32)
    file = tmp_path / "tasks.secret"
    file.write_text(secret + "\n")
    file.chmod(0o600)
    office = build_office(tasks={"secret_file": str(file)})
    office.house.secrets.append(secret)

    def of(user, key: str = secret, algorithm: str = "HS256", **more) -> Person:
        body = {"sub": user, "exp": int(time.time()) + 8 * 24 * 3600} | more
        return Person(office.house, office.http, user, signed(office.house, body, key.encode(), algorithm))

    return office, of


async def test_a_token_of_others_is_good_for_eight_days(shared_secret):
    """`sub` is the user, whatever it looks like, and both kinds of tokens are good side by side."""
    office, of = shared_secret
    guest, own = of("teacher-7@example.com"), office.person()
    socket, other = await guest.connect(), await own.connect()
    other.subscribe("tasks")
    task = await socket.execute("/count 2")
    await socket.course(task)
    shown = await guest.task(task)
    assert (shown["user_id"], shown["status"]) == ("teacher-7@example.com", "completed")
    assert await other.behind(task) == [], "it is another's"
    assert await of("teacher-7@example.com", exp=int(time.time()) + 60).task(task) == shown
    await of("teacher-8@example.com").refused(404, "GET", f"/tasks/{task}")


async def test_a_guest_who_is_called_like_a_user_is_not_taken_for_them(shared_secret):
    office, of = shared_secret
    own = office.person()
    task = await own.make(task="mine")
    guest = of(task["user_id"])
    await guest.refused(404, "GET", f"/tasks/{task['id']}")
    assert (await guest.make(task="another's"))["user_id"] == f"guest:{task['user_id']}"
    assert (await own.listed("/tasks"))[0] == [task["id"]]


async def test_a_token_of_others_that_is_no_good(shared_secret):
    office, of = shared_secret
    now = int(time.time())
    bad = [
        of("ann", exp=now - 1), of("ann", key=secrets.token_hex(32)), of("ann", algorithm="HS384"), of("", exp=now + 60), of(None), of(5),
        of("x" * 129), of("ann", nbf=now + 3600),
        Person(office.house, office.http, token=unsigned({"sub": "ann", "exp": now + 60}, alg="none")),
        Person(office.house, office.http, token=unsigned({"sub": "ann", "exp": now + 60}, alg="HS256")),
    ]
    for clerk in bad:
        await upgrade_refused(office.house, f"/ws?token={clerk.token}")
        await clerk.refused(401, "GET", "/tasks")
    await (await of("x" * 128).connect()).waiting()
    tokens.MINTED.extend(clerk.token for clerk in bad if not clerk.token.endswith("."))


async def test_an_admin_of_others_sees_everyones_tasks(shared_secret):
    office, of = shared_secret
    task = (await of("ann").make())["id"]
    assert (await of("boss", role="admin").task(task))["id"] == task
    await of("ben", role="teacher").refused(404, "GET", f"/tasks/{task}")
