"""Fixtures: a shared server for each shard count, servers with settings of their own, fresh names."""

import itertools
import os
import uuid

import httpx
import pytest

from house import BINARY, House
from permission import PermissionService

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


@pytest.fixture(scope="session")
def shared_houses(tmp_path_factory, permissions):
    """The servers with the default settings, by their number of shards: each started when it is first needed, stopped at the end."""
    houses: dict[int, House] = {}

    def started(shards: int) -> House:
        if shards not in houses:
            houses[shards] = House(tmp_path_factory.mktemp("house"), shards, permissions.url)
            houses[shards].start()
        return houses[shards]

    yield started
    for house in houses.values():
        house.stop()


@pytest.fixture
def house(shared_houses, shards):
    """The shared server; connections that a test leaves open are ended after it, and the server must have lived through it."""
    shared = shared_houses(shards)
    yield shared
    _abort_all(shared)
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
    for house in houses:
        _abort_all(house)
        house.stop()


@pytest.fixture
async def http():
    """An HTTP client that knows no proxy."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
def room():
    """A classroom that nobody else uses."""
    return uuid.uuid4()


@pytest.fixture
def name():
    """Makes account names that nobody else uses: `name("anna")`."""
    return lambda stem="student": f"{stem}{os.getpid()}n{next(_numbers)}"


def _abort_all(house):
    for socket in house.sockets:
        try:
            socket.abort()
        except RuntimeError:
            pass  # its event loop has ended, and its socket with it
    house.sockets.clear()
