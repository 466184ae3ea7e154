"""What an operator sees of tasks: levels that return to zero, and nobody's name."""

from quiz import is_true_soon
from tasks import SOON
from test_metrics import samples


def of_tasks(page: dict[str, float]) -> dict[str, float]:
    """The levels of tasks."""
    return {name: value for name, value in page.items() if name.startswith("homeroom_tasks")}


async def test_levels_return_to_zero_and_show_nobody(build_office, http):
    office = build_office()
    before = of_tasks(await samples(office.house, http))
    assert before, "there are some"
    clerk = office.person(username="wortdesschuelers", email="wortdesschuelers@example.com")
    socket = await clerk.connect()
    socket.subscribe("tasks")
    task = await socket.execute("/count 10000 50")
    await socket.heard("task_update")

    async def has_risen():
        page = await samples(office.house, http)
        assert not any(word in name for name in page for word in ("wortdesschuelers", clerk.user, task))
        return sum(of_tasks(page).values()) > sum(before.values())

    await is_true_soon(has_risen, SOON)
    await clerk.good("POST", f"/tasks/{task}/cancel")
    await socket.course(task)
    await socket.socket.leave()
    levels = [name for name in before if not name.split("{")[0].endswith("_total")]

    async def is_as_before():
        page = of_tasks(await samples(office.house, http))
        return all(page[name] == before[name] for name in levels)

    await is_true_soon(is_as_before, SOON)
