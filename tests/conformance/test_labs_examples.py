"""The contract's own scripts and commands, word for word (`examples/labs.md`), run by bash with its curl and jq. Put in are only the
address, and what stands there as a placeholder: passwords, ids, the token."""

import asyncio
import os
import re
import shutil
import signal

import pytest

from labs_examples import BLOCKS, example, script
from quiz import is_true_soon

ADDRESS = "https://streamspace.example.com"
SESSION = example("Get Session Details", "200")["id"]
COMMANDS = [(heading, text) for heading, _, language, text in BLOCKS if language == "bash" and not text.startswith("#!")]

pytestmark = pytest.mark.skipif(
    not (shutil.which("jq") and shutil.which("curl")), reason="there is no curl or no jq on this machine"
)


async def bash(text: str, folder, until=None, timeout: float = 30) -> list[str]:
    """Runs a script until it ends by itself, or until its output is enough. The lines that it printed."""
    environment = os.environ | {"TERM": "xterm", "HOME": str(folder), "no_proxy": "*"}
    # Errors of HTTP are to be seen; where the answer goes is the script's affair.
    (folder / ".curlrc").write_text("fail-with-body\nshow-error\nsilent\n")
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", text, cwd=folder, env=environment, start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )
    lines: list[str] = []

    async def read():
        async for line in process.stdout:
            lines.append(line.decode().rstrip("\n"))

    async def enough():
        return process.returncode is not None or (until is not None and until(lines))

    reading = asyncio.create_task(read())
    try:
        await is_true_soon(enough, timeout)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await reading
        print("\n".join(lines))
    assert until is not None or process.returncode == 0
    return lines


async def contract_agents(lab):
    """The agents that the contract's commands speak of."""
    await lab.joined("k8s-prod-us-east-1", "kubernetes")
    await lab.joined("docker-host-01", "docker", capacity={"max_sessions": 50})


async def test_the_script_of_a_whole_session(build_lab, tmp_path):
    """Its admin has the password that stands there."""
    lab = await build_lab()
    await contract_agents(lab)
    own = f"/api/v1/labs/users/{lab.admin.name}"
    (await lab.http.patch(f"{lab.house.internal}{own}", json={"password": "password"})).raise_for_status()
    text = script("Complete Session Lifecycle")
    assert text.count(ADDRESS) == 10
    lines = await bash(text.replace(ADDRESS, lab.house.labs), tmp_path)
    (made,) = await lab.admin.listed("/sessions")
    printed = "\n".join(lines)
    assert re.match(r"Logged in\. Token: eyJ[\w-]{17}\.\.\.", lines[0])
    assert '"name": "firefox-browser"' in printed and f"Session created: {made['id']}" in lines and "Session is running!" in lines
    assert f"VNC URL: {lab.house.labs}/vnc-viewer/{made['id']}" in lines
    said = re.sub(r"\s+", " ", printed)
    for state, phase, message in (
        ("hibernated", "Hibernated", "Session hibernated successfully"), ("running", "Running", "Session is running"),
    ):
        assert f'{{ "state": "{state}", "status": {{ "phase": "{phase}", "message": "{message}" }} }}' in said
    assert "Session terminated" in lines and lines[-1].endswith("\\nLogged out"), lines[-3:]
    await lab.admin.becomes(made["id"], "Terminated")
    actions = ["start_session", "hibernate_session", "wake_session", "stop_session"]
    assert [command.action for agent in lab.agents for command in agent.commands] == actions


async def test_the_script_that_watches_agents(build_lab, tmp_path):
    lab = await build_lab()
    await contract_agents(lab)
    for _ in range(3):
        await lab.admin.running(user="x", platform="kubernetes")
    text = script("Monitor Agent Health")
    assert text.count("your-jwt-token") == 1 and text.count(ADDRESS) == 2
    text = text.replace("your-jwt-token", lab.admin.token).replace(ADDRESS, lab.house.labs)
    lines = await bash(text, tmp_path, lambda lines: any(line.startswith("docker-host-01") for line in lines))
    first = next(index for index, line in enumerate(lines) if "StreamSpace Agent Health Dashboard" in line)
    assert lines[first + 1:first + 13] == [
        "==================================", "", "Total Agents: 2", "Online: 2", "Offline: 0", "Draining: 0", "", "Utilization: 2%",
        "Sessions: 3 / 150", "", "Agents:", "-------",
    ]
    assert lines[first + 13:first + 15] == [
        "k8s-prod-us-east-1 (kubernetes) - online - Sessions: 3/100", "docker-host-01 (docker) - online - Sessions: 0/50",
    ]


async def test_every_command(build_lab, tmp_path):
    """One after the other, in the order of the contract, on one server."""
    lab = await build_lab()
    await contract_agents(lab)
    (await lab.http.patch(f"{lab.house.internal}/api/v1/labs/users/admin", json={"password": "password"})).raise_for_status()
    assert len(COMMANDS) == 14
    for heading, text in COMMANDS:
        for one in re.split(r"\n(?=# )", text):
            if heading == "List Sessions" and not await lab.admin.listed("/sessions", state="running"):
                await lab.admin.running(user="john.doe", platform="docker", tags=["project-alpha", "development"])
            if SESSION in one:
                session = await lab.admin.running(user="x", platform="docker")
                if "Wake" in one:
                    await lab.admin.move(session["id"], "hibernated")
                one = one.replace(SESSION, session["id"])
            if heading == "Login":
                assert one.count('"password":"password"') in (0, 1)
            if "$(cat token.txt)" not in one:
                one = f"TOKEN=$(cat token.txt 2>/dev/null)\n{one}"
            lines = await bash(one.replace(f"{ADDRESS}/api/v1", f"{lab.house.labs}/api/v1"), tmp_path)
            assert not any('"code"' in line for line in lines), lines
    token = (tmp_path / "token.txt").read_text().strip()
    lab.house.secrets.append(token)
    assert token.count(".") == 2
    assert (await lab.admin.agent("k8s-prod-us-east-1"))["status"] == "draining", "one of the commands"
