"""The contract's example of a client, step by step, by clients that are not ours: Node's `ws` and Python's `websockets`."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tasks import SOON, checked, rises
from tasks_examples import example

HERE = Path(__file__).parent


def of(number: int, task: str) -> str:
    """What the example's step sends, with the task's id put in."""
    message = example("Example: Monitoring a Task", number)
    return json.dumps(message | {"data": message["data"] | {"task_id": task}})


def is_whole(messages: list[dict], task: str):
    """A welcome, then the task's course from where it stood to its end."""
    assert messages[0]["type"] == "connection_established"
    course = rises([checked(message) for message in messages[1:]])
    assert course[-1]["type"] == "task_completion" and {message["data"]["task_id"] for message in course} == {task}


async def began(clerk) -> str:
    """A task that runs for a while."""
    return (await clerk.good("POST", "/agents/code-agent/execute", {"task": "/count 60 5"}))["id"]


async def test_a_task_is_monitored_by_websockets(clerk):
    async with connect(f"ws://127.0.0.1:{clerk.house.chat_port}/ws?token={clerk.token}", proxy=None) as socket:
        messages = [json.loads(await asyncio.wait_for(socket.recv(), SOON))]
        task = await began(clerk)
        await socket.send(of(1, task))
        while messages[-1]["type"] != "task_completion":
            messages.append(json.loads(await asyncio.wait_for(socket.recv(), SOON)))
        await socket.send(of(5, task))
    assert socket.close_code == 1000
    is_whole(messages, task)


@pytest.mark.skipif(
    not (shutil.which("node") and (HERE / "node/node_modules/ws").is_dir()), reason="there is no node, or its `ws` is not installed"
)
async def test_a_task_is_monitored_by_node(clerk):
    task = await began(clerk)
    process = await asyncio.create_subprocess_exec(
        "node", "monitor.mjs", f"ws://127.0.0.1:{clerk.house.chat_port}/ws?token={clerk.token}", cwd=HERE / "node",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(f"{of(1, task)}\n{of(5, task)}\n".encode()), SOON)
    finally:
        if process.returncode is None:
            process.kill()
    *messages, code = [json.loads(line) for line in said.decode().splitlines()]
    assert (process.returncode, code) == (0, 1000)
    is_whole(messages, task)
