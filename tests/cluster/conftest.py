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
no_socket_outlives_its_test = _fixtures.no_socket_outlives_its_test

from school import School  # noqa: E402


@pytest.fixture(scope="session")
def three(tmp_path_factory, permissions):
    """A school on three nodes, the first with two shards."""
    school = School(tmp_path_factory.mktemp("school"), permissions.url, [2, 1, 1])
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
