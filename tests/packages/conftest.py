"""The package that is judged, made once."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("TESTS_BINARY", ROOT / "target/release/homeroom")).resolve()


@pytest.fixture(scope="session")
def package() -> Path:
    """Of the binary that is tested."""
    made = subprocess.run([ROOT / "packaging/deb", BINARY], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
    return Path(made.stdout.splitlines()[-1])


@pytest.fixture
def needed():
    """Skips where a program is not there."""

    def look(*programs: str):
        for program in programs:
            if not shutil.which(program):
                pytest.skip(f"there is no {program}")

    return look
