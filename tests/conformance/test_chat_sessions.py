"""Sessions over REST: titles, metadata, lists, pages of what was said, and the end by silence."""

import asyncio
import json
import time

import pytest

from chat import seconds, text
from client import open_socket


async def test_what_is_left_away_has_a_value(anna):
    for body in ({}, {"title": None, "agent_id": None, "metadata": None, "require_approval": None}, {"title": "", "agent_id": ""}):
        session = await anna.session(**body)
        made = session.made
        assert list(made) == ["id", "title", "status", "agent_id", "created_at", "metadata"]
        assert (made["title"], made["agent_id"], made["metadata"]) == ("New Session", None, {})
        assert abs(seconds(made["created_at"]) - time.time()) < 60
    answer = await anna.ask("POST", "/sessions/")
    assert answer.status_code == 201 and answer.json()["metadata"] == {}, "the body may be left away"


async def test_both_forms_of_the_collection(anna):
    for form in ("/sessions", "/sessions/"):
        answer = await anna.ask("POST", form, {"title": form})
        assert (answer.status_code, answer.json()["title"]) == (201, form), "no redirect: clients do not follow it"
        assert (await anna.ask("GET", form)).status_code == 200


async def test_metadata_comes_back_as_it_was(anna):
    metadata = {"b": [1, 2.5, None, {"z": {"y": "я 🦊"}}], "a": True, "": "", "big": 12345678901234567890, "deep": [[[[[{}]]]]]}
    session = await anna.session(metadata=metadata)
    answer = await anna.ask("GET", session.path)
    assert answer.json()["metadata"] == session.made["metadata"] == metadata
    assert list(answer.json()["metadata"]) == list(metadata)


async def test_the_first_message_gives_the_title(anna):
    for title, first, expected in (
        (None, "What is 2 + 2?", "What is 2 + 2?"), (None, "  many\n words   here ", "many words here"),
        (None, "x" * 51, "x" * 50 + "..."), ("Mine", "What is 2 + 2?", "Mine"),
    ):
        session = await anna.session(**({"title": title} if title else {}))
        await session.say(first)
        await session.say("3 + 3")
        assert (await session.look())["title"] == expected


async def test_a_session_moves_when_it_is_spoken_in(anna):
    session = await anna.session()
    await asyncio.sleep(1.1)
    await session.say("2 + 2")
    shown = await session.look()
    assert list(shown) == ["id", "title", "status", "agent_id", "created_at", "updated_at", "message_count", "metadata"]
    assert seconds(shown["updated_at"]) > seconds(shown["created_at"])


async def test_a_list_by_pages(anna):
    made = [(await anna.session(title=str(number), agent_id=f"a{number % 2}")).id for number in range(7)]
    pages = [await anna.get("/sessions/", page=page, page_size=3) for page in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in pages] == [3, 3, 1, 0] and [page["has_more"] for page in pages] == [True, True, False, False]
    assert all((page["total"], page["page_size"], page["page"]) == (7, 3, number) for number, page in enumerate(pages, 1))
    listed = [row for page in pages for row in page["data"]]
    assert {row["id"] for row in listed} == set(made) and all(list(row) == ["id", "title", "status", "created_at"] for row in listed)
    assert [row["created_at"] for row in listed] == sorted((row["created_at"] for row in listed), reverse=True), "newest first"
    exact = await anna.get("/sessions/", page=1, page_size=7)
    assert (len(exact["data"]), exact["has_more"]) == (7, False)
    await anna.good("POST", f"/sessions/{made[0]}/end")
    await anna.good("POST", f"/sessions/{made[1]}/end")
    for filters, expected in (
        ({"status": "ended"}, made[:2]), ({"status": "active"}, made[2:]), ({"status": "suspended"}, []), ({"agent_id": "a0"}, made[::2]),
        ({"agent_id": "a1", "status": "ended"}, made[1:2]), ({"agent_id": "nobody"}, []), ({"status": "", "agent_id": ""}, made),
    ):
        page = await anna.get("/sessions/", page_size=2, **filters)
        assert page["total"] == len(expected) and len(page["data"]) == min(2, len(expected))
        assert page["has_more"] == (len(expected) > 2) and {row["id"] for row in page["data"]} <= set(expected)


async def test_parts_of_what_was_said(anna):
    session = await anna.session()
    for number in range(6):
        await session.say(f"{number} + 0")
    everything = await session.messages()
    ids = [message["id"] for message in everything]
    assert len(ids) == 12 and all(list(message) == ["id", "role", "content", "created_at"] for message in everything)
    for params, expected, has_more in (
        ({"limit": 5}, ids[-5:], True), ({"limit": 12}, ids, False), ({"limit": 200}, ids, False), ({}, ids, False),
        ({"before": ids[5]}, ids[:5], False), ({"before": ids[5], "limit": 2}, ids[3:5], True), ({"before": ids[0]}, [], False),
        ({"after": ids[5]}, ids[6:], False), ({"after": ids[5], "limit": 2}, ids[6:8], True), ({"after": ids[11]}, [], False),
        ({"before": ids[11], "limit": 1}, ids[10:11], True), ({"after": ids[0], "limit": 11}, ids[1:], False), ({"before": ""}, ids, False),
    ):
        part = await anna.get(f"{session.path}/messages", **params)
        assert ([message["id"] for message in part["data"]], part["has_more"]) == (expected, has_more), params
        assert list(part) == ["data", "has_more"]


async def test_a_message_that_is_being_said_is_shown_and_counted_at_its_end(anna):
    session = await anna.session()
    ear = await session.listen()
    ear.say("/count 500 10")
    await ear.next("content_delta")
    assert ((await session.last())["status"], (await session.look())["message_count"]) == ("streaming", 1)
    said = await ear.answer()
    last = await session.last()
    assert "status" not in last and last["content"].endswith(text(said)) and (await session.look())["message_count"] == 2


async def test_the_end_by_silence(build, person):
    anna = person(build(chat={"session_expiry": "6s"}))
    spoken, silent, watched = await anna.session(), await anna.session(), await anna.session()
    ear = await watched.listen()
    for _ in range(6):  # who speaks keeps it
        await spoken.say("2 + 2")
        await asyncio.sleep(1.5)
    await ear.ended("SESSION_ENDED", 1000)
    for session in (silent, watched):
        assert (await session.look())["status"] == "ended"
        await session.refused("SESSION_ENDED")
        late = await session.knock(f"?token={anna.token}")
        await late.next("auth_success")
        await late.ended("WS_SESSION_INVALID", 1008)
    assert (await anna.get("/sessions/", status="ended"))["total"] >= 2
    assert len(await spoken.messages()) == 12


async def test_an_answer_is_no_silence(build, person):
    session = await person(build(chat={"session_expiry": "3s"})).session()
    ear = await session.listen()
    ear.say("/count 60 150")
    frames = await ear.answer()
    assert len(frames) == 62, "it took three times as long"
    await ear.ended("SESSION_ENDED", 1000)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_what_was_made_and_said_outlives_the_server(build, person, end):
    anna = person(build())
    kept, ended = await anna.session(title="Kept", metadata={"a": [1]}, agent_id="x"), await anna.session()
    await kept.say("2 + 2", attachments=[{"name": "a.txt", "media_type": "text/plain", "data": "YQ=="}])
    await ended.end()

    async def everything():
        paths = [kept.path, f"{kept.path}/messages", ended.path, "/sessions/", f"{kept.path}/approvals"]
        return [await anna.get(path) for path in paths]

    before = await everything()
    await asyncio.to_thread(getattr(anna.house, end))
    await asyncio.to_thread(anna.house.start)
    assert await everything() == before
    assert (await kept.say("3 + 3"))["content"] == "3 + 3 = 6"
    await ended.refused("SESSION_ENDED")


async def test_pages_of_any_origin_may_call(house, http, anna):
    asked = {"origin": "https://school.example", "access-control-request-method": "POST",
             "access-control-request-headers": "authorization,content-type"}
    answer = await http.options(f"{house.chat}/api/v1/sessions/", headers=asked)
    assert answer.status_code in (200, 204) and answer.headers["access-control-allow-origin"] in ("*", "https://school.example")
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed and "content-type" in allowed
    answer = await anna.ask("GET", "/sessions/", headers={"origin": "https://school.example"})
    assert answer.headers["access-control-allow-origin"] in ("*", "https://school.example")


async def test_a_head_is_answered_without_a_body(anna):
    session = await anna.session()
    answer = await anna.ask("HEAD", session.path)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_socket_comes_to_any_shard(anna):
    session = await anna.session()
    for shard in range(anna.house.shards):
        ear = await session.listen(shard)
        ear.say("2 + 2")
        assert text(await ear.answer()) == "2 + 2 = 4"
    plain = await open_socket(anna.house, path=f"/ws/sessions/{session.id}?other=1&token={anna.token}", port=anna.house.chat_port)
    assert json.loads(await plain.text())["type"] == "auth_success"
