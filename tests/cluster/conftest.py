"""The fixtures of the conformance tests, and a school on several nodes."""

import importlib.util
import sys
from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"
sys.path.insert(0, str(CONFORMANCE))
pytest.register_assert_rewrite("bus", "credentials", "crowd", "nats", "proxy", "school")
_spec = importlib.util.spec_from_file_location("conformance_fixtures", CONFORMANCE / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

pytest_configure = _fixtures.pytest_configure
permissions, http, room, name = _fixtures.permissions, _fixtures.http, _fixtures.room, _fixtures.name
no_socket_outlives_its_test, shared_stub = _fixtures.no_socket_outlives_its_test, _fixtures.shared_stub

from school import School  # noqa: E402


def mail(stub):
    """A tool that must not be called twice, nor without leave."""
    return stub.tool("send_email", {"sent": True}, needs_approval=True, to="string")


@pytest.fixture
def stub(shared_stub):
    """What the school's tool was called with, from the beginning of the test on."""
    shared_stub.forget()
    mail(shared_stub)
    return shared_stub


@pytest.fixture(scope="session")
def three(tmp_path_factory, permissions, shared_stub):
    """A school on three nodes, the first with two shards, with a tool that asks for leave (`stub`)."""
    settings = {"tools": [mail(shared_stub)]}
    school = School(tmp_path_factory.mktemp("school"), permissions.url, [2, 1, 1], settings)
    try:
        school.open()
        yield school
    finally:
        school.close()


@pytest.fixture
def school(three):
    """The same, whole before each test."""
    three.is_whole()
    yield three
    three.mend()
