"""Fixtures: a shared server for each shard count, servers with settings of their own, fresh names."""

import asyncio
import contextlib
import itertools
import os
import uuid

import httpx
import pytest

pytest.register_assert_rewrite(
    "authority", "chat", "chat_examples", "chromium", "client", "collector", "contract", "database", "documents", "event_source",
    "house", "labs", "labs_agent", "labs_examples", "model_stub", "postgres", "quiz", "secure", "tasks", "tasks_examples", "upgrading",
)

import chat  # noqa: E402
import client  # noqa: E402
import labs  # noqa: E402
import quiz  # noqa: E402
import tasks  # noqa: E402
from house import BINARY, Failure, House  # noqa: E402
from model_stub import ModelStub  # noqa: E402
from permission import PermissionService  # noqa: E402
from upgrading import Upgrades  # noqa: E402

_numbers = itertools.count()


def pytest_configure():
    """Nothing here means anything without the server."""
    if not BINARY.exists():
        pytest.exit(f"no server at {BINARY}: build it with `cargo build --release`, or name one by TESTS_BINARY", returncode=2)


@pytest.fixture(scope="session")
def permissions():
    """The permission service of this worker."""
    service = PermissionService()
    yield service
    service.close()


@pytest.fixture(scope="session", params=[1, 2], ids=["1shard", "2shards"])
def shards(request):
    """Every test runs with one shard and with two."""
    return request.param


def houses_by_shards(start):
    """Servers by their number of shards: each started by `start` when it is first needed, stopped at the end."""
    houses: dict[int, House] = {}

    def started(shards: int) -> House:
        if shards not in houses or houses[shards].process.poll() is not None:  # one test's death is not the next one's
            house = start(shards)
            house.start()
            houses[shards] = house
        return houses[shards]

    yield started
    for house in houses.values():
        house.stop()


@pytest.fixture(scope="session")
def shared_houses(tmp_path_factory, permissions):
    """The servers with the default settings."""
    yield from houses_by_shards(lambda shards: House(tmp_path_factory.mktemp("house"), shards, permissions.url))


@pytest.fixture
def house(shared_houses, shards):
    """The shared server, which must live through the test."""
    shared = shared_houses(shards)
    yield shared
    assert shared.process.poll() is None, "the server died in this test"


@pytest.fixture
def build(tmp_path_factory, shards, permissions):
    """Starts servers of a test's own: `build(presence={"auth_timeout": "1s"})`."""
    houses = []

    def start(**settings) -> House:
        house = House(tmp_path_factory.mktemp("house"), shards, permissions.url, settings)
        houses.append(house)
        house.start()
        return house

    yield start
    client.hang_up()
    for house in houses:
        house.stop()


@pytest.fixture
def upgrade():
    """Upgrades a server; returns its next process and what the command said. They are ended with the test."""
    upgrades = Upgrades()
    yield upgrades
    upgrades.close()


@pytest.fixture
def starts_not(tmp_path_factory, shards, permissions):
    """What a server says that does not start with these settings."""
    def said(**settings) -> str:
        with pytest.raises(Failure) as failure:
            House(tmp_path_factory.mktemp("house"), shards, permissions.url, settings).start()
        return str(failure.value)

    return said


@pytest.fixture(autouse=True)
async def no_socket_outlives_its_test():
    """Connections that a test leaves open are ended with it."""
    yield
    opened, client.OPENED[:] = client.OPENED[:], []
    for socket in opened:
        with contextlib.suppress(AttributeError):  # which a transport of TLS has that is over
            socket.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
async def http():
    """An HTTP client that knows no proxy, and no certificates: to read them takes longer than most tests."""
    async with httpx.AsyncClient(timeout=30, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture
def room():
    """A classroom that nobody else uses."""
    return uuid.uuid4()


@pytest.fixture
def name():
    """Makes account names that nobody else uses: `name("anna")`."""
    return lambda stem="student": f"{stem}{os.getpid()}n{next(_numbers)}"


@pytest.fixture
def teacher(house, http, name):
    """An owner of quizzes on the shared server, who has none yet."""
    return quiz.Owner(house, http, name("teacher"))


@pytest.fixture
def colleague(house, http, name):
    """Another one."""
    return quiz.Owner(house, http, name("colleague"))


@pytest.fixture
async def lab(house, http, name):
    """Labs on the shared server, with an admin and the contract's template."""
    lab = await labs.Lab(house, http, name).open()
    yield lab
    await lab.close()


@pytest.fixture
async def build_lab(build, http, name):
    """Starts servers of a test's own with labs: `await build_lab(labs={"heartbeat_interval": "1s"})`."""
    started = []

    async def start(**settings) -> labs.Lab:
        started.append(await labs.Lab(build(**settings), http, name).open())
        return started[-1]

    yield start
    for lab in started:
        await lab.close()


@pytest.fixture(scope="session")
def shared_stub():
    """The endpoint of this worker's models."""
    stub = ModelStub()
    yield stub
    stub.close()


@pytest.fixture
def stub(shared_stub):
    """It, with nothing asked and nothing prepared, and with the tools of `agents`."""
    shared_stub.forget()
    chat.settings(shared_stub)
    return shared_stub


@pytest.fixture(scope="session")
def shared_agents(tmp_path_factory, permissions, shared_stub):
    """The servers with agents by every model and with tools."""
    settings = chat.settings(shared_stub)
    yield from houses_by_shards(lambda shards: House(tmp_path_factory.mktemp("agents"), shards, permissions.url, settings))


@pytest.fixture
def agents(shared_agents, shards, stub):
    """The shared server with agents, which must live through the test."""
    shared = shared_agents(shards)
    yield shared
    assert shared.process.poll() is None, "the server died in this test"


@pytest.fixture
def person(http, name):
    """Makes people of a server whom nobody else knows: `person(house, "boris")`."""
    return lambda house, stem="anna": chat.Person(house, http, name(stem))


@pytest.fixture
def anna(house, person):
    """One of the shared server, which has the default settings."""
    return person(house)


@pytest.fixture
def boris(house, person):
    """Another one."""
    return person(house, "boris")


@pytest.fixture
def pupil(agents, person):
    """One of the shared server with agents."""
    return person(agents, "pupil")


@pytest.fixture(scope="session")
def endpoint_of_all():
    """The endpoint of a language model of this worker."""
    stub = tasks.Stub()
    yield stub
    stub.close()


@pytest.fixture
def endpoint(endpoint_of_all):
    """The same, which nobody has asked yet."""
    endpoint_of_all.forget()
    return endpoint_of_all


@pytest.fixture(scope="session")
def shared_offices(tmp_path_factory, permissions, endpoint_of_all):
    """The servers with agents and workflows."""
    settings = tasks.settings(endpoint_of_all)
    yield from houses_by_shards(lambda shards: House(tmp_path_factory.mktemp("office"), shards, permissions.url, settings))


@pytest.fixture
def office(shared_offices, shards, http, endpoint):
    """Tasks on the shared server, which must live through the test."""
    shared = shared_offices(shards)
    yield tasks.Office(shared, http, endpoint)
    assert shared.process.poll() is None, "the server died in this test"


@pytest.fixture
def clerk(office):
    """One who has no tasks yet."""
    return office.person()


@pytest.fixture
def build_office(build, http, endpoint):
    """Starts servers of a test's own with agents and workflows: `build_office(tasks={"ping_interval": "1s"})`."""
    return lambda **settings: tasks.Office(build(**tasks.settings(endpoint, **settings)), http, endpoint)
