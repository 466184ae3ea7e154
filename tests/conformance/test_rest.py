"""The REST routes of the presence listener, their refusals and CORS."""

import socket
import time
import uuid

import httpx
import pytest

import tokens
from client import open_socket, sign_in
from tokens import ASKED, LISTED, OPEN, UNLISTED, UNRULED, token


def bearer(sub: str = "reader", aud: str = OPEN, **claims) -> dict:
    """The header of one who may read."""
    return {"authorization": f"Bearer {token(sub, aud, **claims)}"}


def agents_of(house, room) -> str:
    """The room's list."""
    return f"{house.url}/api/v1/classrooms/{room}/agents"


async def test_healthz_says_ok(house, http):
    answer = await http.get(f"{house.url}/healthz")
    assert (answer.status_code, answer.text) == (200, "Ok")


async def test_ws_without_an_upgrade_is_refused_in_text(house, http):
    answer = await http.get(f"{house.url}/ws")
    assert answer.status_code == 400
    assert answer.text
    assert answer.headers["content-type"].startswith("text/plain")


UNKNOWN = ["/", "/nothing", "/api/v1/classrooms", "/api/v2/counters/agent", "/metrics", "/livez"]


@pytest.mark.parametrize("path", UNKNOWN)
async def test_unknown_paths_are_not_found_and_empty(house, http, path):
    answer = await http.get(f"{house.url}{path}")
    assert (answer.status_code, answer.content) == (404, b"")


async def test_the_list_is_ordered_and_comes_in_pages(house, http, room, name):
    subs = [name() for _ in range(7)]
    for index, sub in enumerate(subs):
        await sign_in(house, room, token(sub), shard=house.two_shards[index % 2])
    everyone = (await http.get(agents_of(house, room), headers=bearer())).json()
    assert [set(agent) for agent in everyone] == [{"sequence_id", "agent_id"}] * 7
    assert [agent["agent_id"] for agent in everyone] == [tokens.agent_id(sub) for sub in subs]
    numbers = [agent["sequence_id"] for agent in everyone]
    assert numbers == sorted(set(numbers)) and numbers[0] > 0
    paged, after = [], 0
    while page := (await http.get(agents_of(house, room), params={"sequence_id": after, "limit": 3}, headers=bearer())).json():
        assert len(page) <= 3
        paged += page
        after = page[-1]["sequence_id"]
    assert paged == everyone
    params = {"sequence_id": numbers[4]}
    assert (await http.get(agents_of(house, room), params=params, headers=bearer())).json() == everyone[5:]


async def test_an_empty_room_is_an_empty_list(house, http, room):
    assert (await http.get(agents_of(house, room), headers=bearer())).json() == []


async def test_the_limit_is_at_most_a_thousand(house, http, room, name):
    await sign_in(house, room, token(name()))
    answer = await http.get(agents_of(house, room), params={"limit": 1000}, headers=bearer())
    assert (answer.status_code, len(answer.json())) == (200, 1)
    answer = await http.get(agents_of(house, room), params={"limit": 5000}, headers=bearer())
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert len(answer.json()) == 1


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "sequence_id=x", "sequence_id=1.5", "sequence_id=99999999999999999999"])
async def test_a_bad_query_is_refused_in_text(house, http, room, query):
    answer = await http.get(f"{agents_of(house, room)}?{query}", headers=bearer())
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain") and answer.text


async def test_a_path_that_is_no_uuid_is_refused_in_text(house, http):
    answer = await http.get(agents_of(house, "classroom-1"), headers=bearer())
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain") and answer.text


async def test_the_token_may_stand_in_the_query(house, http, room):
    answer = await http.get(agents_of(house, room), params={"access_token": token("reader")})
    assert (answer.status_code, answer.json()) == (200, [])


async def test_no_token_is_said_so(house, http, room):
    answer = await http.get(agents_of(house, room))
    assert answer.status_code == 401
    assert answer.json()["type"] == "no_authentication_token"


BAD_TOKENS = {
    "rubbish": lambda: "rubbish",
    "expired": lambda: token("reader", lifetime_s=-60),
    "unknown issuer": lambda: token("reader", iss="somebody.example.org"),
    "unlisted audience": lambda: token("reader", UNLISTED),
    "list of audiences": lambda: token("reader", [OPEN]),
}


@pytest.mark.parametrize("fault", BAD_TOKENS)
async def test_a_bad_token_is_invalid(house, http, room, fault):
    for url in (agents_of(house, room), f"{house.url}/api/v1/classrooms/{room}/attendance"):
        answer = await http.get(url, headers={"authorization": f"Bearer {BAD_TOKENS[fault]()}"})
        assert answer.status_code == 401
        assert answer.json()["type"] == "invalid_authentication"


@pytest.mark.parametrize("reader", [("reader", UNRULED), ("reader", LISTED), ("denied", ASKED)], ids=str)
async def test_who_may_not_read_is_denied_with_detail_and_status(house, http, room, reader):
    answer = await http.get(agents_of(house, room), headers=bearer(*reader))
    assert answer.status_code == 403
    said = answer.json()
    assert said["type"] == "access_denied"
    assert said["status"] == 403 and said["detail"]


async def test_whoever_the_list_names_may_read(house, http, room):
    answer = await http.get(agents_of(house, room), headers=bearer(tokens.LISTED_SUBJECTS[1], LISTED))
    assert answer.status_code == 200


async def test_a_label_header_changes_nothing_for_reading(house, http, room):
    answer = await http.get(agents_of(house, room), headers=bearer() | {"x-agent-label": "mobile"})
    assert answer.status_code == 200


async def test_counters_leave_empty_rooms_out(house, http, name):
    full, single, empty = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    for index in range(3):
        await sign_in(house, full, token(name()), shard=house.two_shards[index % 2])
    await sign_in(house, single, token(name()), shard=house.two_shards[1])
    body = {"classroom_ids": [str(full), str(single), str(empty)]}
    answer = await http.post(f"{house.url}/api/v1/counters/agent", json=body, headers=bearer())
    assert (answer.status_code, answer.json()) == (200, {str(full): 3, str(single): 1})
    answer = await http.post(f"{house.url}/api/v1/counters/agent", json={"classroom_ids": []}, headers=bearer())
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("body", ["{}", '{"classroom_ids":"x"}', '{"classroom_ids":["x"]}', '{"classroom_ids":[7]}', "[]"])
async def test_counters_of_the_wrong_shape_are_refused_in_text(house, http, body):
    answer = await http.post(
        f"{house.url}/api/v1/counters/agent", content=body, headers=bearer() | {"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.text


@pytest.mark.parametrize("path", ["/ws", "/api/v1/counters/agent", f"/api/v1/classrooms/{uuid.UUID(int=7)}/agents"])
async def test_a_preflight_lets_any_origin_in(house, http, path):
    asked = "authorization, content-type, ulms-request-id, x-agent-label"
    answer = await http.options(f"{house.url}{path}", headers={
        "origin": "https://school.example.org", "access-control-request-method": "POST", "access-control-request-headers": asked,
    })
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] in ("*", "https://school.example.org")
    methods = {method.strip() for method in answer.headers["access-control-allow-methods"].split(",")}
    assert methods >= {"GET", "PUT", "POST", "PATCH", "DELETE"}
    headers = {header.strip().lower() for header in answer.headers["access-control-allow-headers"].split(",")}
    assert headers >= {"authorization", "content-type", "ulms-request-id", "x-agent-label"}
    assert answer.headers["access-control-max-age"] == "3600"


async def test_an_answer_to_another_origin_says_that_it_may_be_read(house, http, room):
    for headers in (bearer(), {}):
        answer = await http.get(agents_of(house, room), headers=headers | {"origin": "https://school.example.org"})
        assert answer.headers["access-control-allow-origin"] in ("*", "https://school.example.org")


async def test_many_requests_go_over_one_connection(house, http, room):
    for _ in range(50):
        assert (await http.get(agents_of(house, room), headers=bearer())).status_code == 200


async def test_a_body_too_large_is_refused(house, http):
    answer = await http.post(
        f"{house.url}/api/v1/counters/agent", content=b"x" * (3 << 20), headers=bearer() | {"content-type": "application/json"}
    )
    assert answer.status_code == 413


async def test_paths_beside_ws_are_not_upgraded(house):
    for path in ("/nothing", "/ws/", "/healthz"):
        try:
            await open_socket(house, path=path)
        except Exception as refusal:  # noqa: BLE001 — whichever way the client words it
            assert "101" not in str(refusal)
        else:
            raise AssertionError(f"{path} was upgraded")


def test_http_connections_count_among_the_connections(build):
    most = 4
    house = build(websocket={"max_connections": most})

    def served(connection: socket.socket) -> bool:
        try:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            return connection.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def connections(count: int) -> list[socket.socket]:
        return [socket.create_connection(("127.0.0.1", house.presence_port), timeout=30) for _ in range(count)]

    # Those that asked whether the server is ready may still be on their way out.
    deadline = time.monotonic() + 60
    while True:
        held = connections(most + 3)
        kept = [connection for connection in held if served(connection)]
        assert len(kept) <= most
        if len(kept) == most or time.monotonic() > deadline:
            break
        for connection in held:
            connection.close()
        time.sleep(0.05)
    assert len(kept) == most
    for page in ("livez", "readyz", "metrics"):  # a full server does not look like a dead one
        assert httpx.get(f"{house.internal}/{page}", trust_env=False, verify=False).status_code == 200
    kept[0].close()
    deadline = time.monotonic() + 60
    while not served(connections(1)[0]):
        assert time.monotonic() < deadline, "a place that was given back can be had again"
        time.sleep(0.05)
    for connection in held:
        connection.close()
