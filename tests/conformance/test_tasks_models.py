"""Models that fail: slow, busy, cut, silent, senseless. Each task has one end all the same, and no word of the endpoint is passed on."""

import asyncio

import pytest

from model_stub import SECRET, Answer, busy, cut, failing, hanging, malformed, said
from tasks import SOON, held


async def end_of(clerk, task: str = "think") -> dict:
    """The last message of a task of the endpoint's agent, which REST tells likewise."""
    socket = await clerk.connect()
    id = await socket.execute(task, "large-agent")
    end = (await socket.course(id))[-1]
    shown = await clerk.task(id)
    if end["type"] == "task_completion":
        assert (shown["status"], shown["result"], shown["error"]) == ("completed", end["data"]["result"], None)
    else:
        assert (shown["status"], shown["error"], shown["completed_at"]) == ("failed", end["data"]["error"], None)
        assert SECRET not in end["data"]["error"]
    assert await socket.behind(id) == []
    return end


async def test_a_slow_model_is_waited_for(clerk, endpoint):
    endpoint.will(said("late", first_s=0.5, pace_s=0.1))
    assert (await end_of(clerk))["data"]["result"]["output"] == "late"
    assert len(endpoint.asked) == 1


async def test_progress_comes_from_what_the_model_says(clerk, endpoint):
    endpoint.will(said(*["word "] * 100, pace_s=0.05))
    socket = await clerk.connect()
    task = await socket.execute("think", "large-agent")
    shares = [message["data"]["progress"] for message in await socket.course(task)]
    assert len(set(shares)) >= 4 and shares[-2] > shares[0], "it rises while the model speaks"


@pytest.mark.parametrize("first", [busy(retry_after=0), busy(), failing(503), failing(500)], ids=["429 at once", "429", "503", "500"])
async def test_a_model_that_is_busy_is_asked_again(clerk, endpoint, first):
    endpoint.will(first, said("now"))
    end = await end_of(clerk)
    assert (end["data"]["result"]["output"], end["data"]["cost"]) == ("now", pytest.approx(0.05))
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(("answer", "requests"), [
    (busy(retry_after=0), 2), (failing(502), 2), (Answer(status=401), 1), (Answer(status=400), 1), (cut("half"), 1), (cut(), 1),
    (malformed("half"), 1),
], ids=["429", "502", "401", "400", "cut midway", "cut at once", "malformed"])
async def test_a_model_that_fails_is_a_task_that_failed(clerk, endpoint, answer, requests):
    endpoint.always = answer
    end = await end_of(clerk)
    assert (end["type"], end["data"]["status"]) == ("task_error", "failed")
    assert len(endpoint.asked) == requests


@pytest.mark.parametrize("answer", [hanging(), hanging("half")], ids=["never begins", "falls silent"])
async def test_a_model_that_falls_silent_is_given_up(build_office, endpoint, answer):
    model = endpoint.model("large", first_timeout="1s", next_timeout="1s", attempts=1)
    office = build_office(models=[{"name": "gpt-4o"}, {"name": "gpt-4o-mini"}, model])
    endpoint.always = answer
    end = await end_of(office.person())
    assert end["type"] == "task_error"
    await endpoint.asked[0].gone(SOON)


async def test_an_answer_in_whatever_pieces_is_the_same(clerk, endpoint):
    words = ["Ünï", "cödé ", "😀", "\n", "end"]
    for size in (1, 2, 7, 64):
        endpoint.will(said(*words, piece_bytes=size))
        assert (await end_of(clerk))["data"]["result"]["output"] == "".join(words)


async def test_a_long_answer_comes_whole(clerk, endpoint):
    """Far more than may wait between the model and the shard, as fast as it can be sent."""
    words = ["word " * 200] * 250
    endpoint.will(said(*words))
    assert (await end_of(clerk))["data"]["result"]["output"] == "".join(words)


async def test_an_endpoint_that_is_not_there_and_one_that_comes_back(build_office, endpoint):
    """The next task is asked as if nothing had been."""
    dead = {"name": "gone", "url": "http://127.0.0.1:1/v1/chat/completions", "model": "x", "attempts": 1, "first_timeout": "2s"}
    base = [{"name": "gpt-4o"}, {"name": "gpt-4o-mini"}]
    agents = [
        {"name": "code-agent", "model": "gpt-4o"}, {"name": "large-agent", "model": "large", "other_models": ["gone"]},
        {"name": "test-agent", "model": "gpt-4o"},
    ]
    office = build_office(models=[*base, endpoint.model("large"), dead], agents=agents)
    clerk = office.person()
    socket = await clerk.connect()
    task = await socket.execute("think", "large-agent", model_id="gone")
    assert (await socket.course(task))[-1]["type"] == "task_error"
    assert (await end_of(clerk))["type"] == "task_completion"


async def test_twenty_tasks_at_a_time_are_asked_at_a_time(clerk, endpoint):
    """No task waits for another's model."""
    answer = held("done")
    endpoint.always = answer
    made = await asyncio.gather(*(
        clerk.good("POST", "/agents/large-agent/execute", {"task": f"think {number}"}) for number in range(20)
    ))
    await endpoint.request(19, SOON)
    assert len(endpoint.asked) == 20 and all(asked.is_open for asked in endpoint.asked)
    assert sorted(endpoint.prompts()) == sorted(f"think {number}" for number in range(20))
    answer.gate.set()
    for task in made:
        assert (await clerk.becomes(task["id"], "completed"))["result"]["output"] == "done"


async def test_a_key_and_the_words_of_a_user_are_in_no_log(build_office, endpoint, tmp_path):
    """Not at the level that a school has; the key at none."""
    key = "key-of-the-endpoint-0123456789"
    file = tmp_path / "large.key"
    file.write_text(key)
    endpoint.key = key
    models = [{"name": "gpt-4o"}, {"name": "gpt-4o-mini"}, endpoint.model("large", key_file=str(file))]
    office = build_office(models=models, log={"level": "info"})
    office.house.secrets += [key, "wortdesschuelers", SECRET, "wortdesmodells"]
    clerk = office.person(username="wortdesschuelers", email="wortdesschuelers@example.com")
    endpoint.will(said("wortdesmodells"), failing(400), malformed("wortdesmodells"))
    for _ in range(3):
        await end_of(clerk, "wortdesschuelers")
    await clerk.refused(404, "GET", "/tasks/wortdesschuelers")
    office.house.check_log()
