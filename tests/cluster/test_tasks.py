"""Tasks on several nodes: made, watched and cancelled on any of them."""

import asyncio
import uuid

from quiz import is_true_soon
from school import figure
from tasks import SOON, Person, TaskSocket, claims, signed

LONG = "/count 10000 50"
NOTICED = 90  # seconds in which a dead node is noticed, on a machine that stands still now and then


def everywhere(school, http) -> list[Person]:
    """One user, at each node."""
    user = str(uuid.uuid4())
    return [Person(node, http, user, signed(node, claims(user))) for node in school.nodes]


async def watching(person: Person, tasks: list[str]) -> TaskSocket:
    """Somebody who watches these, and has been told how they stand."""
    socket = await person.connect()
    for task in tasks:
        socket.subscribe("task", task_id=task)
        while (await socket.hear())["data"]["task_id"] != task:
            pass
    return socket


async def ended(socket: TaskSocket, task: str, timeout: float = SOON) -> dict:
    """The end of a task, behind what is told of this and others."""
    while (message := await socket.hear(timeout))["type"] == "task_update" or message["data"]["task_id"] != task:
        pass
    return message


async def test_a_task_is_made_watched_and_cancelled_on_any_node(school, http):
    people = everywhere(school, http)
    for turn in range(6):
        maker, other = people[turn % 3], people[(turn + 1) % 3]
        task = (await maker.good("POST", "/agents/code-agent/execute", {"task": LONG}))["id"]
        watchers = [await watching(person, [task]) for person in people]
        for watcher in watchers:
            assert (await watcher.heard("task_update"))["task_id"] == task
        await other.good("POST", f"/tasks/{task}/cancel")
        for watcher in watchers:
            end = await ended(watcher, task)
            assert (end["type"], end["data"]["error"]) == ("task_error", "Cancelled by user")
            await watcher.socket.quiet(0.1)
            await watcher.socket.leave()
        for person in people:
            assert (await person.task(task))["status"] == "failed"


async def test_an_eleventh_socket_of_a_user_is_refused_on_whatever_node(school, http):
    people = everywhere(school, http)
    sockets = [await people[number % 3].connect() for number in range(10)]
    for person in people:
        await TaskSocket(await person.opened()).exceeded()
    await sockets[1].socket.leave()

    async def is_let_in():
        socket = TaskSocket(await people[2].opened())
        if (await socket.hear())["type"] == "connection_established":
            return socket
        await socket.closed("rate_limit_exceeded", 1008)

    sockets[1] = await is_true_soon(is_let_in, SOON)
    for socket in sockets:
        await socket.socket.leave()


async def test_what_ran_on_a_node_that_is_killed_has_failed_and_all_else_goes_on(school, http):
    people, tasks, dead = everywhere(school, http), [], school.nodes[2]

    def running(*nodes) -> float:
        return sum(figure(node, "homeroom_tasks_running") for node in nodes)

    async def all_run():
        return running(*school.nodes) == len(tasks)

    while not 0 < running(dead) < len(tasks):
        tasks += [(await people[0].good("POST", "/agents/code-agent/execute", {"task": LONG}))["id"] for _ in range(8)]
        await is_true_soon(all_run, SOON)
    by_hand = [(await people[1].make())["id"] for _ in range(4)]
    watchers = [await watching(person, tasks[:40]) for person in people[:2]]
    count = int(running(dead))
    dead.kill()

    async def lost():
        failed, _ = await people[0].listed("/tasks", status="failed", limit=100)
        return len(failed) >= count and set(failed)

    failed = await is_true_soon(lost, NOTICED)
    for watcher in watchers:
        for task in [task for task in tasks[:40] if task in failed][:1]:
            assert (await ended(watcher, task, NOTICED))["data"]["error"] == "The server was restarted"
    dead.start()
    school.is_whole()
    assert await lost() == failed and len(failed) == count
    for task in tasks:
        # Asked of the node that has come: what runs is where it was.
        answer = await people[2].ask("POST", f"/tasks/{task}/cancel")
        assert answer.status_code == (400 if task in failed else 200), answer.text
    for task in by_hand:
        assert (await people[2].change(task, status="completed"))["status"] == "completed"
    for watcher in watchers:
        await watcher.socket.leave()
