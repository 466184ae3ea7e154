"""The contract's own programs, word for word (`examples/chat.md`). Put in are only addresses, credentials, an import that is missing, and
what the contract leaves to others: the call of a function, a session's id."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from chat import Session
from chat_examples import program
from test_labs_examples import bash

HERE = Path(__file__).parent

needs_node = pytest.mark.skipif(
    not (shutil.which("node") and (HERE / "node/node_modules/ws").is_dir()), reason="there is no node with `ws` on this machine"
)


def placed(text: str, session: Session | None, by=None) -> str:
    """With what belongs into it."""
    by = by or session.by
    places = {
        "http://localhost:8000": by.house.chat, "wss://api.ipa-platform.com": f"ws://127.0.0.1:{by.house.chat_port}",
        "your_access_token": by.token, "your_token": by.token, "<access_token>": by.token,
        "sess_123": session.id if session else "",
    }
    for place, put in places.items():
        text = text.replace(place, put)
    return text


async def run(*command: str) -> str:
    """Runs a program to its good end; what it printed."""
    environment = os.environ | {"NO_PROXY": "*", "no_proxy": "*", "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


# --- Python


async def python(text: str) -> str:
    """Runs a program by this Python."""
    return await run(sys.executable, "-c", text)


async def test_python_basic_usage(anna):
    lines = (await python(placed(program("Basic Usage", "python"), None, anna))).splitlines()
    (listed,) = (await anna.get("/sessions/"))["data"]
    assert lines == [f"Created session: {listed['id']}", "Agent response: 2 + 2 = 4", "Session ended"]
    assert (listed["title"], listed["status"]) == ("Python Test Session", "ended")


async def test_python_streaming(anna):
    session = await anna.session()
    before = f"import json\nAPI_BASE, TOKEN = {anna.house.chat + '/api/v1'!r}, {anna.token!r}\n"
    call = f"\nasyncio.run(stream_chat({session.id!r}, '/count 5 5'))"
    printed = await python(before + program("Streaming with SSE", "python") + call)
    words, tokens = printed.strip().split("\n")
    assert words.split() == ["1", "2", "3", "4", "5"] and tokens.startswith("[Tokens: ") and int(tokens[9:-1]) > 0


async def test_python_websocket(anna):
    session = await anna.session()
    before = f"session_id, TOKEN = {session.id!r}, {anna.token!r}\n"
    printed = await python(before + placed(program("WebSocket Client", "python"), session))
    first, words, end = printed.strip().split("\n")
    assert json.loads(first.removeprefix("Auth: ")) == {"type": "auth_success", "session_id": session.id}
    last = await session.last()
    assert (words, end) == (last["content"], "[Complete]") and (await session.messages())[0]["content"] == "Hello via WebSocket!"


async def test_python_all_sessions(anna):
    """The contract's own loop over pages, with pages of three."""
    made = {(await anna.session()).id for _ in range(8)}
    (text,) = [part for part in program("5. Performance", "python").split("# Good: ") if part.startswith("Paginate")]
    before = f"""import asyncio, httpx
async def get_sessions(page, page_size):
    assert page_size == 100
    answer = await client.get("{anna.house.chat}/api/v1/sessions/", params=dict(page=page, page_size=3), headers={anna.headers!r})
    return answer.json()
client = httpx.AsyncClient(limits=httpx.Limits(max_connections=100))
# """
    printed = await python(before + text + "\nprint(*[session['id'] for session in asyncio.run(get_all_sessions())])")
    assert len(printed.split()) == 8 and set(printed.split()) == made


# --- JavaScript


async def javascript(folder: Path, *texts: str, awaits: bool = False) -> list[str]:
    """Runs programs as a page runs its scripts; the lines that they printed."""
    files = []
    for number, text in enumerate(texts):
        files.append(str(folder / f"{number}.{'mjs' if awaits else 'js'}"))
        Path(files[-1]).write_text(text)
    return (await run("node", str(HERE / "node/chat.mjs"), *files)).splitlines()


@pytest.fixture
def page(tmp_path):
    """Runs scripts: `await page(text, text)`."""
    return lambda *texts, **how: javascript(tmp_path, *texts, **how)


# What is sent before the socket is open is the contract's own slip: browsers throw there, and so does Node's `ws`.
SLIP = "uncaught: WebSocket is not open: readyState 0 (CONNECTING)"
LEAVES = "ws.addEventListener('message', (event) => JSON.parse(event.data).type === 'message_end' && ws.close());"


@needs_node
async def test_javascript_websocket_flow(anna, page):
    session = await anna.session()
    text = placed(program("Example WebSocket Flow", "javascript"), session)
    once_more = text[text.index("// Send a message"):]
    lines = await page(text, f"ws.addEventListener('open', () => {{ {once_more} }});{LEAVES}")
    last = await session.last()
    assert lines[:2] == [SLIP, f"Connected to session: {session.id}"] and lines[2] == last["content"]
    assert lines[3].startswith("Tokens used: ") and int(lines[3].split()[-1]) > 0
    assert (await session.messages())[0]["content"] == "Hello, how can you help me?"


@needs_node
async def test_javascript_authentication(anna, page):
    session = await anna.session()
    text = placed(program("Authentication", "javascript"), session)
    once_more = text[text.index("ws.send("):]
    lines = await page(text, f"""
        ws.addEventListener('open', () => {{ {once_more} }});
        ws.addEventListener('message', (event) => {{ console.log(event.data); ws.close(); }});
    """)
    assert [lines[0], json.loads(lines[1])] == [SLIP, {"type": "auth_success", "session_id": session.id}]


@needs_node
async def test_javascript_websocket_class(anna, page):
    session = await anna.session()
    lines = await page(placed(program("WebSocket Client", "javascript"), session), """
        ws.ws.addEventListener('open', () => ws.send('Hello!'));
        ws.onMessage((data) => data.type === 'message_end' && (console.log(element.textContent), ws.close()));
    """)
    assert lines == [SLIP, (await session.last())["content"]]


@needs_node
async def test_javascript_fetch(anna, page):
    session = await anna.session()
    before = f"const createSession = async () => ({json.dumps(session.made)});\n"
    lines = await page(before + placed(program("Fetch API", "javascript"), session), awaits=True)
    assert lines == [(await session.last())["content"]] and (await session.messages())[0]["content"] == "Hello!"


def event_source(session: Session, content: str) -> tuple[str, str]:
    """The contract's function with the constants of its first program, and its call."""
    before = f"const API_BASE = '{session.by.house.chat}/api/v1'; const TOKEN = '{session.by.token}';\n"
    call = f"""streamChat({session.id!r}, {content!r}).then(
        (told) => console.log(JSON.stringify(told)), (error) => console.log('error', error.status, error.allow));"""
    return before + program("EventSource for SSE", "javascript"), call


@needs_node
async def test_javascript_event_source(anna, page):
    """A browser's asks by GET, which the route is not for, and the program is told."""
    session = await anna.session()
    assert await page(*event_source(session, "Hello!")) == ["error 405 POST"]
    assert await session.messages() == []


@needs_node
async def test_javascript_event_source_that_posts(anna, page):
    """As libraries have it whose EventSource takes a method and a body."""
    session = await anna.session()
    posts = """const Plain = EventSource;
        EventSource = class extends Plain {
          constructor(url, options) { super(url, { ...options, method: 'POST', body: JSON.stringify({ content: '/count 3 5' }) }); }
        };"""
    lines = await page(posts, *event_source(session, "/count 3 5"))
    assert [line.strip() for line in lines[:3]] == ["1", "2", "3"]
    told = json.loads(lines[3])
    assert told["content"] == (await session.last())["content"] and told["usage"]["total_tokens"] > 0


# --- cURL


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("curl")), reason="there is no curl or no jq on this machine")
async def test_curl(anna, tmp_path):
    first, second = (program(heading, "bash") for heading in ("Create Session and Send Message", "Streaming Response"))
    text = placed(f"TOKEN={anna.token}\n{first}\necho\n{second}", None, anna)
    lines = [line for line in await bash(text, tmp_path) if line]
    (listed,) = (await anna.get("/sessions/"))["data"]
    assert lines[0] == f"Session ID: {listed['id']}" and listed["title"] == "Test Session"
    answer, *events = lines[1:]
    messages = await anna.get(f"/sessions/{listed['id']}/messages")
    assert json.loads(answer)["message_id"] == messages["data"][1]["id"] and len(messages["data"]) == 4
    told = [json.loads(line.removeprefix("data: ")) for line in events]
    assert "".join(event["delta"] for event in told[:-1]) == messages["data"][3]["content"] and told[-1]["type"] == "done"
