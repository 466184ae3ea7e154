"""`homeroom user`: the users of labs from the shell, whether the server runs or not."""

import os
import pty
import secrets

import httpx
import pytest

from house import BINARY
from test_commands import heard, run


def user(house, command: str, *arguments: str, said: str = ""):
    """`homeroom user …` with the settings of this server; `said` comes from a pipe."""
    return run("user", command, *arguments, "--config", str(house.config), said=said)


def login(house, name: str, password: str) -> httpx.Response:
    """The answer to a sign-in."""
    body = {"username": name, "password": password}
    answer = httpx.post(f"{house.labs}/api/v1/auth/login", json=body, trust_env=False)
    house.secrets += [password, *([answer.json()["token"]] if answer.status_code == 200 else [])]
    return answer


def asked(house, token: str) -> int:
    """The status that a token has now."""
    headers = {"authorization": f"Bearer {token}"}
    return httpx.get(f"{house.labs}/api/v1/sessions", headers=headers, trust_env=False).status_code


def listed(house) -> dict[str, list[str]]:
    """What `user list` says, by name."""
    said = user(house, "list")
    assert said.returncode == 0, said.stderr
    return {line.split()[0]: line.split()[1:] for line in said.stdout.splitlines()}


def passwords() -> tuple[str, str]:
    """Two that nobody uses."""
    return secrets.token_hex(8), secrets.token_hex(8)


def test_a_user_from_the_first_day_to_the_last(build):
    house = build()
    first, second = passwords()
    assert login(house, "mary", first).status_code == 401
    made = user(house, "add", "mary", said=f"{first}\n")
    assert made.returncode == 0 and "mary" in made.stdout and first not in made.stdout, made
    assert listed(house)["mary"][:3] == ["user", "active", "mary@localhost"]
    old = login(house, "mary", first).json()["token"]
    assert asked(house, old) == 200
    assert "never" not in listed(house)["mary"], "she has signed in"
    assert user(house, "passwd", "mary", said=f"{second}\n").returncode == 0
    assert login(house, "mary", first).status_code == 401
    assert login(house, "mary", second).status_code == 200
    assert user(house, "disable", "mary").returncode == 0
    assert (login(house, "mary", second).status_code, asked(house, old)) == (403, 401)
    assert listed(house)["mary"][1] == "disabled"
    assert user(house, "enable", "mary").returncode == 0
    assert (login(house, "mary", second).status_code, asked(house, old)) == (200, 200)


def test_an_admin_is_made_with_a_role_and_an_address(build):
    house = build()
    password, _ = passwords()
    made = user(house, "add", "head", "--role", "admin", "--email", "head@example.org", said=f"{password}\n")
    assert made.returncode == 0, made.stderr
    assert listed(house)["head"][:3] == ["admin", "active", "head@example.org"]
    said = login(house, "head", password).json()
    assert (said["user"]["role"], said["user"]["email"]) == ("admin", "head@example.org")


def test_the_first_admins_password_is_set_from_the_shell(build):
    house = build()
    password, _ = passwords()
    assert listed(house)["admin"][:2] == ["admin", "active"]
    assert user(house, "passwd", "admin", said=f"{password}\n").returncode == 0
    assert login(house, "admin", password).json()["user"]["role"] == "admin"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_without_a_server_the_records_are_changed(build, end):
    house = build()
    first, second = passwords()
    assert user(house, "add", "mary", said=f"{first}\n").returncode == 0
    getattr(house, end)()
    assert user(house, "add", "john", "--role", "admin", said=f"{first}\n").returncode == 0
    assert user(house, "passwd", "mary", said=f"{second}\n").returncode == 0
    assert user(house, "disable", "john").returncode == 0
    assert [listed(house)[name][:2] for name in ("mary", "john")] == [["user", "active"], ["admin", "disabled"]]
    house.start()
    assert [login(house, *who).status_code for who in (("mary", first), ("mary", second), ("john", first))] == [401, 200, 403]


def test_what_cannot_be_is_told_and_changes_nothing(build):
    house = build()
    password, other = passwords()
    assert user(house, "add", "mary", said=f"{password}\n").returncode == 0
    for running in (True, False):
        for code, command, *arguments, said in [
            (1, "add", "mary", other),
            (1, "passwd", "nobody", other),
            (1, "disable", "nobody", ""),
            (1, "enable", "nobody", ""),
            (2, "add", "two words", other),
            (2, "add", "john", "short"),
            (2, "add", "john", ""),
            (2, "add", "john", "--email", "nowhere", other),
            (2, "add", "john", "--role", "operator", other),
            (2, "passwd", "mary", "short"),
        ]:
            refused = user(house, command, *arguments, said=f"{said}\n")
            assert refused.returncode == code and refused.stderr.strip() and refused.stdout == "", (running, command, refused)
            assert other not in refused.stderr, "a password was said back"
        assert set(listed(house)) == {"admin", "mary"}
        if running:
            house.stop()
    house.start()
    assert login(house, "mary", password).status_code == 200


def test_where_no_records_are_none_are_listed(tmp_path):
    refused = run("user", "list", HOMEROOM_DATA_DIR=str(tmp_path / "none"))
    assert refused.returncode == 1 and "no records" in refused.stderr and refused.stdout == "", refused
    assert not (tmp_path / "none").exists()


def test_at_a_terminal_a_users_password_is_asked_for_twice_and_not_shown(build):
    house = build()
    password, _ = passwords()
    child, terminal = pty.fork()
    if child == 0:
        os.execv(BINARY, [BINARY, "user", "add", "mary", "--config", house.config])
    shown = heard(terminal, b"Password: ")
    os.write(terminal, f"{password}\n".encode())
    shown += heard(terminal, b"Again: ")
    os.write(terminal, f"{password}\n".encode())
    shown += heard(terminal, None)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    assert password.encode() not in shown, "the password was shown"
    assert login(house, "mary", password).status_code == 200
