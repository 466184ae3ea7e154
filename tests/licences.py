"""Holds every package of the lock file against deny.toml: its licence must be allowed, its source a registry or this workspace.

The same lists are what `cargo deny` reads; this needs nothing but cargo and Python.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def allowed(expression: str, allow: set[str]) -> bool:
    """Whether an SPDX expression can be met with these licences alone. `A/B` is the old way to write `A OR B`."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def alternatives(at: int) -> tuple[bool, int]:
        met, at = together(at)
        while at < len(words) and words[at] == "OR":
            other, at = together(at + 1)
            met = met or other
        return met, at

    def together(at: int) -> tuple[bool, int]:
        met, at = single(at)
        while at < len(words) and words[at] == "AND":
            other, at = single(at + 1)
            met = met and other
        return met, at

    def single(at: int) -> tuple[bool, int]:
        if words[at] == "(":
            met, at = alternatives(at + 1)
            return met, at + 1
        name = words[at].removesuffix("+")
        if at + 2 < len(words) and words[at + 1] == "WITH":
            return f"{name} WITH {words[at + 2]}" in allow, at + 3
        return name in allow, at + 1

    met, end = alternatives(0)
    if end != len(words):
        raise ValueError(f"cannot read the licence {expression!r}")
    return met


def faults(packages: list[dict], allow: set[str], exceptions: dict[str, set[str]] | None = None) -> list[str]:
    """What is wrong with the tree. Of exceptions each is for one package."""
    found = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if not package.get("license"):
            found.append(f"{name} names no licence")
        elif not allowed(package["license"], allow | (exceptions or {}).get(package["name"], set())):
            found.append(f"{name} is under {package['license']}")
        if package["source"] and not package["source"].startswith(("registry+", "sparse+")):
            found.append(f"{name} comes from no registry")
    return found


def test_itself():
    """A check that cannot fail is none."""
    allow = {"MIT", "Apache-2.0 WITH LLVM-exception", "ISC"}
    good = ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "MIT AND (ISC OR GPL-3.0)", "Apache-2.0 WITH LLVM-exception", "MIT+"]
    bad = ["GPL-3.0", "Apache-2.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "GPL-3.0 OR (MIT AND AGPL-3.0)"]
    assert all(allowed(expression, allow) for expression in good)
    assert not any(allowed(expression, allow) for expression in bad)
    planted = [{"name": "planted", "version": "1", "license": None, "source": "git+elsewhere"}]
    assert len(faults(planted, allow)) == 2
    named = [{"name": name, "version": "1", "license": "MIT AND NCSA", "source": None} for name in ("excepted", "other")]
    assert faults(named, allow, {"excepted": {"NCSA"}}) == ["other 1 is under MIT AND NCSA"]


def tree(manifest: str) -> list[dict]:
    """The packages of a lock file, and what they say of themselves."""
    command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1", "--manifest-path", manifest]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)["packages"]


def main():
    """Prints the faults; the exit code says whether there are any."""
    test_itself()
    licences = tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]
    allow = set(licences["allow"])
    exceptions = {exception["crate"]: set(exception["allow"]) for exception in licences["exceptions"]}
    packages = [package for manifest in ("Cargo.toml", "fuzz/Cargo.toml") for package in tree(manifest)]
    found = sorted(set(faults(packages, allow, exceptions)))
    names = {package["name"] for package in packages}
    found += [f"deny.toml has an exception for {name}, which is not there" for name in exceptions.keys() - names]
    for fault in found:
        print(fault)
    print(f"{len(packages)} packages, {len(found)} faults")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
