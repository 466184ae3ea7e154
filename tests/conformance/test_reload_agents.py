"""Agents, models, workflows and templates read again on SIGHUP: what comes, what goes, what is another, and what a faulty file changes."""

import pytest

import chat
import house as houses
from chat import Person
from test_reload import REFUSED, Reloads, comes_true

PLAIN = {"log": {"level": "info"}}


def agent(name: str, **more) -> dict:
    """One by the model of the house."""
    return {"name": name, "model": "builtin"} | more


async def begins(anna: Person, name: str) -> int:
    """The status of a new session with this agent."""
    return (await anna.ask("POST", "/sessions/", {"agent_id": name})).status_code


async def comes_to(anna: Person, name: str, expected: tuple[int, ...]):
    """Waits until a new session with this agent is answered so."""

    async def is_so() -> bool:
        return await begins(anna, name) in expected

    await comes_true(is_so)


async def test_an_agent_that_goes_takes_no_new_sessions(build, http, name):
    reloads = Reloads(build(**PLAIN, agents=[agent("tutor"), agent("poet")]))
    anna = Person(reloads.house, http, name())
    assert await begins(anna, "poet") in (200, 201)
    refused = await begins(anna, "nobody")
    reloads.change(agents=[agent("tutor")])
    assert 'changed="agents"' in await reloads.read()
    await comes_to(anna, "poet", (refused,))
    assert await begins(anna, "tutor") in (200, 201)


async def test_an_agent_answers_by_the_model_that_it_has_now(build, http, name, stub):
    model = stub.model("large")
    reloads = Reloads(build(**PLAIN, models=[model], agents=[agent("tutor")]))
    anna = Person(reloads.house, http, name())
    session = (await anna.ask("POST", "/sessions/", {"agent_id": "tutor"})).json()["id"]
    reloads.change(agents=[agent("tutor", model="large")])
    await reloads.read()

    async def is_asked() -> bool:
        await anna.ask("POST", f"/sessions/{session}/chat", {"content": "What is a noun?"}, timeout=60)
        return bool(stub.asked)

    await comes_true(is_asked)


@pytest.mark.parametrize("fault", ["a model that is not there", "an agent twice", "a template without an image"])
async def test_a_fault_in_any_of_them_changes_none(build, http, name, fault):
    reloads = Reloads(build(**PLAIN, agents=[agent("tutor")]))
    anna = Person(reloads.house, http, name())
    refused = await begins(anna, "poet")
    agents, templates = [agent("tutor"), agent("poet")], [{"name": "sketch", "base_image": "example/sketch"}]
    match fault:
        case "a model that is not there":
            agents.append(agent("tutor-of-tutors", model="nothing"))
        case "an agent twice":
            agents.append(agent("poet"))
        case "a template without an image":
            templates.append({"name": "empty"})
    reloads.change(agents=agents, labs={"templates": templates})
    await reloads.read(REFUSED)
    assert await begins(anna, "poet") == refused
    assert "sketch" not in await templates_of(reloads.house, http, name)


async def templates_of(house: houses.House, http, name) -> list[str]:
    """The names of all templates, as an admin of labs sees them."""
    someone = name("admin")
    await chat.user(house, http, someone, "admin")
    answer = await http.post(f"{house.labs}/api/v1/auth/login", json={"username": someone, "password": chat.PASSWORD})
    assert answer.status_code == 200, answer.text
    token = answer.json()["token"]
    house.secrets.append(token)
    answer = await http.get(f"{house.labs}/api/v1/templates", headers={"authorization": f"Bearer {token}", "connection": "close"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return [template["name"] for template in (found if isinstance(found, list) else found["templates"])]


async def test_templates_that_are_new_are_there_and_those_that_were_stay(build, http, name):
    first, second = {"name": "sketch", "base_image": "example/sketch"}, {"name": "music", "base_image": "example/music"}
    reloads = Reloads(build(**PLAIN, labs={"templates": [first]}))
    assert "sketch" in (before := await templates_of(reloads.house, http, name)) and "music" not in before
    reloads.change(labs={"templates": [second]})
    assert "labs.templates" in await reloads.read()
    after = await templates_of(reloads.house, http, name)
    assert sorted(after) == sorted([*before, "music"]), "what a school has made of its templates is its own"


async def test_workflows_come_and_go(build, http, name):
    def workflow(id: str) -> dict:
        return {"id": id, "name": id, "steps": [{"id": "one", "agent": "tutor", "task": "Say a word."}]}

    reloads = Reloads(build(**PLAIN, agents=[agent("tutor")], workflows=[workflow("morning")]))
    anna = Person(reloads.house, http, name())

    async def listed() -> str:
        return (await anna.ask("GET", "/orchestration/workflows")).text

    assert "morning" in await listed()
    reloads.change(workflows=[workflow("evening")])
    assert 'changed="workflows"' in await reloads.read()

    async def is_other() -> bool:
        return "evening" in (text := await listed()) and "morning" not in text

    await comes_true(is_other)
