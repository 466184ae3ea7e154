"""Who asks: sign-in, API keys and their life, roles, and that another's things are not there. The reference is src/http/quiz/README.md."""

import asyncio
import re
import secrets
import time

import jwt
import pytest

from quiz import AUDIENCE, CHOICE, ISSUER, NOBODY, Owner, Rest, knock, listed, owner_socket, same, seconds, signed, subscribe

KEY = ["id", "label", "role", "hint", "created_at"]


async def account(house, http, name: str, password: str):
    """Makes one on the internal listener."""
    return await http.post(f"{house.internal}/api/v1/owners", json={"name": name, "password": password})


@pytest.fixture
def password(house):
    """One that may stand in no log."""
    made = secrets.token_hex(8)
    house.secrets.append(made)
    return made


# --- sign-in


async def test_an_account_signs_in_and_owns_what_its_tokens_make(house, http, name, password):
    teacher = Owner(house, http, name("teacher"))
    made = await account(house, http, teacher.sub, password)
    assert made.status_code == 201 and made.json().get("data", made.json()) == {"name": teacher.sub}
    before = int(time.time())
    answer = await Rest(house, http).good("POST", "/auth/sign-in", {"name": teacher.sub, "password": password})
    house.secrets.append(answer["access_token"])
    same({name: answer[name] for name in answer if name != "access_token"}, {"token_type": "Bearer", "expires_in": 43200})
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert (claims["iss"], claims["sub"]) == (ISSUER, teacher.sub) and claims["aud"] in (AUDIENCE, [AUDIENCE])
    assert before + 43_199 <= claims["exp"] <= time.time() + 43_201
    mine = Rest(house, http, authorization=f"Bearer {answer['access_token']}")
    quiz = await mine.make("/quizzes", {"title": "x"})
    assert (await teacher.get(f"/quizzes/{quiz['id']}"))["title"] == "x", "one account, however its token came to be"
    socket = await owner_socket(house, answer["access_token"])
    await subscribe(socket, f"quiz:{quiz['id']}")


async def test_a_wrong_name_or_password_is_one_refusal(house, http, name, password):
    sub = name("teacher")
    assert (await account(house, http, sub, password)).status_code == 201
    nobody = Rest(house, http)
    answers = [
        await nobody.refused("AUTH-001", "POST", "/auth/sign-in", {"name": who, "password": what})
        for who, what in ((sub, password + "x"), (name("nobody"), password), (sub, ""), ("", password), (sub.upper(), password))
    ]
    assert len({answer.text for answer in answers[:2]}) == 1, "which of the two was wrong is not told"
    for body in ({}, {"name": sub}, {"password": password}, {"name": 1, "password": 2}, []):
        await nobody.refused("VAL-001", "POST", "/auth/sign-in", body)


async def test_a_new_password_takes_the_place_of_the_old(house, http, name, password):
    sub, newer = name("teacher"), secrets.token_hex(8)
    house.secrets.append(newer)
    for given in (password, newer):
        assert (await account(house, http, sub, given)).status_code == 201
    nobody = Rest(house, http)
    await nobody.refused("AUTH-001", "POST", "/auth/sign-in", {"name": sub, "password": password})
    answer = await nobody.good("POST", "/auth/sign-in", {"name": sub, "password": newer})
    house.secrets.append(answer["access_token"])


async def test_names_and_passwords_have_their_form(house, http, name, password):
    for wrong in ("", "x" * 101, "Anna", "anna b", "анна", "anna/b", "anna:b", None, 7):
        assert (await account(house, http, wrong, password)).status_code == 400, wrong
    for wrong in ("", "x" * 7, "x" * 201, None, 12345678):
        assert (await account(house, http, name("anna"), wrong)).status_code == 400
    for right in (name("a.b_c-d@school.0"), "x" * 100, "0"):
        assert (await account(house, http, right, "пароль-8")).status_code == 201, right
    long = name("long")
    assert (await account(house, http, long, "x" * 200)).status_code == 201
    await Rest(house, http).good("POST", "/auth/sign-in", {"name": long, "password": "x" * 200})
    answer = await http.post(f"{house.quiz}/api/v1/owners", json={"name": name("anna"), "password": password})
    assert (answer.status_code, answer.json()["code"]) == (404, "REQ-001"), "only operators make accounts"


# --- API keys


async def test_a_key_is_shown_once_and_listed_without_itself(house, http, teacher, colleague):
    assert await teacher.get("/apikeys") == {"items": [], "total": 0}
    made = await teacher.key("owner", "школьный автобус")
    assert list(made) == [*KEY, "key"] and (made["label"], made["role"]) == ("школьный автобус", "owner")
    assert re.fullmatch(r"hr_[A-Za-z0-9_-]{43}", made["key"]) and made["hint"] == made["key"][-4:]
    assert abs(seconds(made["created_at"]) - time.time()) < 60
    other = await teacher.key("user")
    rows = {row["id"]: row for row in listed(await teacher.get("/apikeys"))}
    for key in (made, other):
        same(rows[key["id"]], {name: key[name] for name in KEY} | {"revoked_at": None})
    assert await colleague.get("/apikeys") == {"items": [], "total": 0}
    for path in (house.folder / "data").rglob("*"):
        assert not path.is_file() or made["key"].encode() not in path.read_bytes(), "stored hashed"


async def test_a_key_of_role_owner_may_all_but_keys(house, http, teacher):
    key = await teacher.key("owner")
    for headers in ({"x_api_key": key["key"]}, {"authorization": f"Bearer {key['key']}"}):
        by_key = Rest(house, http, **headers)
        quiz = await by_key.make("/quizzes", {"title": "x"})
        await by_key.make(f"/quizzes/{quiz['id']}/questions", CHOICE)
        await by_key.good("POST", f"/quizzes/{quiz['id']}/publish")
        attempt = await by_key.begin(quiz["id"])
        assert [row["attempt_id"] for row in await teacher.attempts(quiz_id=quiz["id"])] == [attempt.id]
        assert await by_key.good("POST", f"/quizzes/{quiz['id']}/force-submit") == {"closed": 1}
        keys = [("GET", "", None), ("POST", "", {"label": "x", "role": "user"}), ("DELETE", f"/{key['id']}", None)]
        for method, place, body in keys:
            await by_key.refused("AUTH-002", method, f"/apikeys{place}", body)
    socket = await owner_socket(house, key["key"])
    await subscribe(socket, f"quiz:{quiz['id']}")


async def test_a_revoked_key_is_good_for_nothing_at_once_and_everywhere(house, http, teacher, colleague):
    keys = [await teacher.key(role) for role in ("owner", "user", "owner")]
    quiz = await teacher.quiz()
    kept = Rest(house, http, x_api_key=keys[2]["key"])
    for key in keys[:2]:
        by_key = Rest(house, http, x_api_key=key["key"])
        await by_key.begin(quiz["id"])
        await colleague.refused("NF-001", "DELETE", f"/apikeys/{key['id']}")
        await by_key.begin(quiz["id"])
        assert await teacher.good("DELETE", f"/apikeys/{key['id']}") == {}
        for _ in range(8):
            await by_key.refused("AUTH-001", "GET", "/quizzes")
            assert (await knock(house, f"/ws?token={key['key']}")).status_code == 401
            await kept.get("/quizzes")
        row = next(row for row in listed(await teacher.get("/apikeys")) if row["id"] == key["id"])
        assert list(row) == [*KEY, "revoked_at"] and abs(seconds(row["revoked_at"]) - time.time()) < 60


async def test_a_new_key_is_good_at_once_and_everywhere(house, http, teacher):
    for _ in range(5):
        by_key = Rest(house, http, x_api_key=(await teacher.key("owner"))["key"])
        for answer in await asyncio.gather(*(by_key.ask("GET", "/quizzes") for _ in range(6))):
            assert answer.status_code == 200


async def test_keys_outlive_a_restart_and_so_does_their_end(build, http, name):
    house = build()
    teacher = Owner(house, http, name("teacher"))
    kept, revoked = await teacher.key("owner"), await teacher.key("owner")
    await teacher.good("DELETE", f"/apikeys/{revoked['id']}")
    house.kill()
    house.start()
    for _ in range(4):
        await Rest(house, http, x_api_key=kept["key"]).get("/quizzes")
        await Rest(house, http, x_api_key=revoked["key"]).refused("AUTH-001", "GET", "/quizzes")
    rows = {row["id"]: row["revoked_at"] for row in listed(await teacher.get("/apikeys"))}
    assert rows[kept["id"]] is None and seconds(rows[revoked["id"]])


async def test_a_key_has_its_form(house, teacher):
    for body in (
        {}, {"label": "x"}, {"role": "user"}, {"label": "", "role": "user"}, {"label": "x" * 101, "role": "user"},
        {"label": "x", "role": "admin"}, {"label": "x", "role": "Owner"}, {"label": 7, "role": "user"}, [],
    ):
        await teacher.refused("VAL-001", "POST", "/apikeys", body)
    assert len((await teacher.key("user", "я" * 100))["label"]) == 100
    await teacher.refused("NF-001", "DELETE", f"/apikeys/{NOBODY}")
    await teacher.refused("NF-001", "DELETE", "/apikeys/x")


# --- who may what


async def everything(teacher) -> list[tuple[str, str, object]]:
    """Every route of owners, on things that `teacher` has."""
    quiz, draft = await teacher.quiz(), await teacher.quiz(publish=False)
    question = draft["questions"][0]["id"]
    event, participant = await teacher.make("/events", {"title": "Autumn"}), await teacher.make("/participants", {"alias": "Anna"})
    attempt = await teacher.begin(quiz["id"], event_id=event["id"])
    here, there = f"/quizzes/{quiz['id']}", f"/quizzes/{draft['id']}"
    return [
        ("GET", here, None), ("PATCH", there, {"title": "y"}), ("POST", f"{there}/publish", None), ("POST", f"{there}/archive", None),
        ("POST", f"{there}/questions", CHOICE), ("PUT", f"{there}/questions/{question}", CHOICE),
        ("DELETE", f"{there}/questions/{question}", None),
        ("PUT", f"{there}/questions/order", {"questions": [question["id"] for question in draft["questions"]]}),
        ("GET", f"/participants/{participant['id']}", None), ("GET", f"/events/{event['id']}", None),
        ("GET", f"{here}/results", None), ("GET", f"/info/attempts/{attempt.id}", None), ("GET", f"/attempts/{attempt.id}/flags", None),
        ("GET", f"{here}/flags/summary", None), ("POST", f"{here}/force-submit", None),
        ("POST", f"/events/{event['id']}/force-submit", None),
    ]


WITHOUT_A_THING = [
    ("POST", "/quizzes", {"title": "x"}), ("GET", "/quizzes", None), ("POST", "/participants", {"alias": "x"}),
    ("GET", "/participants", None), ("POST", "/events", {"title": "x"}), ("GET", "/events", None), ("GET", "/info/attempts", None),
    ("GET", "/apikeys", None), ("POST", "/apikeys", {"label": "x", "role": "user"}), ("DELETE", f"/apikeys/{NOBODY}", None),
]


async def test_what_is_anothers_is_not_there(house, teacher, colleague):
    routes = await everything(teacher)
    before = [(await teacher.ask(method, path)).text for method, path, _ in routes if method == "GET"]
    for method, path, body in routes:
        await colleague.refused("NF-001", method, path, body)
    assert [(await teacher.ask(method, path)).text for method, path, _ in routes if method == "GET"] == before
    assert await colleague.attempts() == [] and await colleague.get("/quizzes") == {"items": [], "total": 0}


async def test_the_same_subject_of_another_audience_is_another_owner(build, http, tmp_path):
    secret, key_file = secrets.token_hex(32), tmp_path / "schools.key"
    key_file.write_text(secret)
    key_file.chmod(0o600)
    issuer = {"audiences": ["north.local", "south.local"], "algorithm": "HS256", "key_file": str(key_file)}
    house = build(quiz={"issuers": {"schools.example.org": issuer}})

    def account_of(audience: str, name: str = "schools.example.org") -> Rest:
        return Rest(house, http, authorization=f"Bearer {signed(house, 'anna', secret=secret.encode(), iss=name, aud=audience)}")

    quiz = await account_of("north.local").make("/quizzes", {"title": "x"})
    await account_of("south.local").refused("NF-001", "GET", f"/quizzes/{quiz['id']}")
    await account_of(AUDIENCE, ISSUER).refused("AUTH-001", "GET", "/quizzes")
    assert (await account_of("north.local").get(f"/quizzes/{quiz['id']}"))["title"] == "x"
    # Where others issue the tokens, nobody signs in here.
    await Rest(house, http).refused("NF-001", "POST", "/auth/sign-in", {"name": "anna", "password": "password"})
    answer = await account(house, http, "anna", "password")
    assert answer.status_code == 404 and answer.json()["code"] == "NF-001"


async def test_a_key_of_role_user_may_only_begin(house, http, teacher):
    user = Rest(house, http, x_api_key=(await teacher.key("user"))["key"])
    for method, path, body in [*await everything(teacher), *WITHOUT_A_THING]:
        await user.refused("AUTH-002", method, path, body)
    quiz = await teacher.quiz(access_type="private")
    attempt = await user.begin(quiz["id"])
    await attempt.answer(0, 1)
    assert (await attempt.submit())["score"] == 10.0


BAD = {
    "none": lambda house, key: {},
    "rubbish": lambda house, key: {"authorization": "Bearer rubbish"},
    "no scheme": lambda house, key: {"authorization": signed(house, "teacher")},
    "another scheme": lambda house, key: {"authorization": f"Basic {key}"},
    "expired": lambda house, key: {"authorization": f"Bearer {signed(house, 'teacher', lifetime_s=-60)}"},
    "another's signature": lambda house, key: {"authorization": f"Bearer {signed(house, 'teacher', secret=b'y' * 64)}"},
    "a key that nobody has": lambda house, key: {"x_api_key": "hr_" + secrets.token_urlsafe(32)},
    "a token as a key": lambda house, key: {"x_api_key": signed(house, "teacher")},
    "an empty key": lambda house, key: {"x_api_key": ""},
    "a bad key beside a good token": lambda house, key: {
        "x_api_key": key[:-1] + "!", "authorization": f"Bearer {signed(house, 'teacher')}",
    },
}


@pytest.mark.parametrize("fault", BAD)
async def test_without_a_good_credential_every_route_of_owners_is_closed(house, http, teacher, fault):
    headers = BAD[fault](house, (await teacher.key("owner"))["key"])
    nobody = Rest(house, http, **headers)
    routes = [*await everything(teacher), *WITHOUT_A_THING] if fault in ("none", "expired") else WITHOUT_A_THING[:3]
    for method, path, body in routes:
        answer = await nobody.refused("AUTH-001", method, path, body)
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_of_two_headers_the_key_counts(house, http, teacher, colleague):
    key = (await teacher.key("owner"))["key"]
    for other in (f"Bearer {colleague.token}", "Bearer rubbish", f"Bearer {signed(house, 'teacher', lifetime_s=-60)}"):
        both = Rest(house, http, x_api_key=key, authorization=other)
        quiz = await both.make("/quizzes", {"title": "x"})
        assert (await teacher.get(f"/quizzes/{quiz['id']}"))["id"] == quiz["id"]


async def test_credential_then_path_then_query_and_body_then_what_is_there(house, http, teacher):
    nobody, user = Rest(house, http), Rest(house, http, x_api_key=(await teacher.key("user"))["key"])
    routes = [("POST", "/quizzes", {"title": 7}), ("GET", "/quizzes?limit=x", None), ("PATCH", "/quizzes/x", {"title": 7})]
    for method, path, body in routes:
        await nobody.refused("AUTH-001", method, path, body)
        await user.refused("AUTH-002", method, path, body)
    await teacher.refused("NF-001", "PATCH", "/quizzes/x", {"title": 7})
    await teacher.refused("VAL-001", "PATCH", "/quizzes/9007199254740991", {"title": 7})
