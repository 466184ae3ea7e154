"""The fixtures of the conformance tests, with two shards only, and what faults need beside them."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"
sys.path.insert(0, str(CONFORMANCE))
_spec = importlib.util.spec_from_file_location("conformance_fixtures", CONFORMANCE / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

pytest_configure = _fixtures.pytest_configure
permissions, http, room, name = _fixtures.permissions, _fixtures.http, _fixtures.room, _fixtures.name
conformance_build = _fixtures.build
no_socket_outlives_its_test = _fixtures.no_socket_outlives_its_test

from crowd import Crowds  # noqa: E402


@pytest.fixture(scope="session")
def shards():
    """As many as the smallest machine has cores."""
    return 2


@pytest.fixture
def build(conformance_build):
    """Starts servers as conformance does, where a crowd of thousands may be one user, as a crowd of the tests is."""

    def start(**settings):
        settings["limits"] = {"connections_per_user": 0} | settings.get("limits", {})
        return conformance_build(**settings)

    return start


@pytest.fixture
def crowds():
    """Makes crowds of clients for a server, which end with the test."""
    made = []

    def gather(house) -> Crowds:
        made.append(Crowds(house))
        return made[-1]

    yield gather
    for crowd in made:
        crowd.kill()


@pytest.fixture
def tell(capsys):
    """Shows what was measured, whether the test passes or not."""

    def say(**measured):
        with capsys.disabled():
            print("\n   " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in measured.items()), end=" ")

    return say


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MiB, which only root can make."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "homeroom-test", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)
