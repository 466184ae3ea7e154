"""The participant's socket: it only listens, and hears once and for all how the attempt ended."""

import asyncio

from websockets.exceptions import InvalidStatus

from quiz import LISTEN_ONLY, frames, order, round_trip, same, session_socket, update


async def test_a_participant_only_listens(house, teacher):
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    participant = await attempt.listen(house.two_shards[1])
    for message in (
        "hello", "", order("subscribe", f"quiz:{quiz['id']}"), order("unsubscribe", f"notification:{attempt.id}"), b"\x00\x01", b"",
        order("subscribe", f"notification:{attempt.id}").encode(),
    ):
        participant.send(message)
        same(await participant.json(), {"event": "error", "t": None, "error": LISTEN_ONLY})
    participant.ping(b"still here")
    participant.protocol.send_pong(b"of its own accord")  # the one frame that a participant may send
    participant.protocol.send_pong(b"")
    await attempt.answer(0, 1)
    await attempt.submit()
    closed = await participant.json()
    assert (closed["t"], closed["data"]["answered_count"]) == ("attempt_closed", 1)
    assert participant.pongs[-1].data == b"still here"


async def test_every_socket_of_a_participant_hears_the_end_once(house, teacher):
    quiz = await teacher.quiz()
    attempt, other = await teacher.begin(quiz["id"]), await teacher.begin(quiz["id"])
    sockets = [await attempt.listen(shard) for shard in house.two_shards * 2]
    gone, elsewhere = await attempt.listen(), await other.listen()
    gone.abort()
    await attempt.submit()
    heard = [await socket.text() for socket in sockets]
    assert len(set(heard)) == 1
    for socket in sockets:
        assert await socket.close_code() == 1000
    other_end = await other.submit()
    closed = await elsewhere.json()
    assert (closed["data"]["attempt_id"], closed["data"]["submitted_at"]) == (other.id, other_end["submitted_at"])


async def test_who_connects_while_the_attempt_ends_hears_it_or_is_refused(house, teacher):
    """A socket is never left that waits for an end which was told before."""
    quiz = await teacher.quiz()

    async def connect(attempt, shard):
        try:
            return await session_socket(house, attempt.session, shard)
        except InvalidStatus as refusal:
            assert refusal.response.status_code == 401
            return None

    came = []
    for _ in range(6):
        attempt = await teacher.begin(quiz["id"])
        end, *sockets = await asyncio.gather(attempt.submit(), *(connect(attempt, house.two_shards[index % 2]) for index in range(8)))
        came += [(socket, end) for socket in sockets if socket]
    assert came, "some came in time"
    for socket, end in came:
        said = await frames(socket, 2)
        assert [frame["event"] for frame in said] == ["subscribed", "update"]
        assert said[1]["data"]["submitted_at"] == end["submitted_at"]
        assert await socket.close_code() == 1000


async def test_a_participant_who_comes_back_hears_the_end(house, teacher):
    attempt = await teacher.begin((await teacher.quiz())["id"])
    for shard in house.two_shards:
        await (await attempt.listen(shard)).leave()
    participant = await attempt.listen()
    await attempt.submit()
    assert (await participant.json())["t"] == "attempt_closed"


async def test_force_submit_closes_those_of_the_quiz_alone(house, teacher, colleague):
    quiz, other = await teacher.quiz(), await teacher.quiz()
    owner = await teacher.watch(f"quiz:{quiz['id']}", f"quiz:{other['id']}")
    attempts = [await teacher.begin(quiz["id"], alias=alias) for alias in ("Ann", "Bob")]
    untouched = await teacher.begin(other["id"])
    sockets = [await attempt.listen(shard) for attempt, shard in zip(attempts, house.two_shards)]
    beside = await untouched.listen()
    await attempts[1].answer(0, 1)
    await frames(owner, 4)
    await colleague.refused("NF-001", "POST", f"/quizzes/{quiz['id']}/force-submit")
    assert await teacher.good("POST", f"/quizzes/{quiz['id']}/force-submit") == {"closed": 2}
    for index, (socket, score) in enumerate(zip(sockets, (0.0, 10.0))):
        closed = await socket.json()
        same(closed, update("attempt_closed", {
            "attempt_id": attempts[index].id, "quiz_id": quiz["id"], "event_id": None, "reason": "forced_by_owner", "score": score,
            "answered_count": index, "submitted_at": closed["data"]["submitted_at"],
        }, "notification"))
    finished = await frames(owner, 2)
    assert {frame["t"] for frame in finished} == {"attempt_finished"}
    assert {frame["data"]["attempt_id"]: frame["data"]["answered_count"] for frame in finished} == {attempts[0].id: 0, attempts[1].id: 1}
    assert await teacher.good("POST", f"/quizzes/{quiz['id']}/force-submit") == {"closed": 0}
    assert await round_trip(owner) == []
    await untouched.submit()
    assert (await beside.json())["data"]["reason"] == "submitted"


async def test_force_submit_of_an_event_closes_its_attempts_at_every_quiz(house, teacher, colleague):
    quizzes = [await teacher.quiz() for _ in range(3)]
    event, other = [(await teacher.make("/events", {"title": title}))["id"] for title in ("Autumn", "Spring")]
    inside = [await teacher.begin(quiz["id"], event_id=event) for quiz in quizzes]
    outside = [await teacher.begin(quizzes[0]["id"]), await teacher.begin(quizzes[1]["id"], event_id=other)]
    sockets, beside = [await attempt.listen() for attempt in inside], [await attempt.listen() for attempt in outside]
    await colleague.refused("NF-001", "POST", f"/events/{event}/force-submit")
    assert await teacher.good("POST", f"/events/{event}/force-submit") == {"closed": 3}
    for socket in sockets:
        closed = (await socket.json())["data"]
        assert (closed["reason"], closed["event_id"]) == ("forced_by_owner", event)
    for attempt, socket in zip(outside, beside):
        await attempt.submit()
        assert (await socket.json())["data"]["reason"] == "submitted"
