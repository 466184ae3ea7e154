"""An OpenAI-compatible endpoint for chat completions, streamed, with the faults that such endpoints have; and tools behind HTTP.

    stub = ModelStub()
    stub.will(said("Hello", " you", pace_s=0.01), busy(retry_after=1), cut("Hel"))   # the next requests, in this order; then `ALWAYS`
    build(models=[stub.model("large")], tools=[stub.tool("send_email", to="string")])
    asked = await stub.request(0)      # waits for it
    asked.messages, asked.is_open      # what the model was shown; whether somebody still waits for its answer
"""

import asyncio
import json
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Answer:
    """What one request gets."""

    words: tuple[str, ...] = ()
    calls: tuple[tuple[str, str], ...] = ()  # tools and their arguments as JSON, which come in `parts` chunks each
    parts: int = 1
    first_s: float = 0  # before the first byte of the answer
    pace_s: float = 0  # before each word
    status: int = 200
    retry_after: int | None = None
    usage: tuple[int, int] | None = (7, 5)  # of the prompt, of the completion; None: the endpoint does not say
    piece_bytes: int = 0  # the body comes in pieces of so many bytes, wherever those cut it; 0: an event each
    end: str = "done"  # or `cut`: the connection breaks; `malformed`: an event that is none; `hang`: silence
    reason: str = ""  # `finish_reason`, where it is neither `stop` nor `tool_calls`


def said(*words: str, **more) -> Answer:
    """These words."""
    return Answer(words, **more)


def called(tool: str, arguments: dict, **more) -> Answer:
    """A call of a tool; `parts=5` splits its arguments over so many chunks."""
    return Answer(calls=((tool, json.dumps(arguments)),), **more)


def busy(retry_after: int | None = None, status: int = 429) -> Answer:
    """Too many requests."""
    return Answer(status=status, retry_after=retry_after)


def failing(status: int = 503) -> Answer:
    """An error, with words that nobody else may hear."""
    return Answer(status=status)


def cut(*words: str, **more) -> Answer:
    """A stream whose connection breaks after these words."""
    return Answer(words, end="cut", **more)


def malformed(*words: str, **more) -> Answer:
    """A stream that makes no sense after these words."""
    return Answer(words, end="malformed", **more)


def hanging(*words: str, **more) -> Answer:
    """A stream that falls silent after these words; without any, nothing comes at all."""
    return Answer(words, end="hang", **more)


ALWAYS = said("Hello", " from", " the", " stub.")
SECRET = "words of the endpoint that nobody may hear"


@dataclass
class Asked:
    """One request to the endpoint."""

    body: dict
    headers: dict[str, str]
    connection: socket.socket
    at: float = field(default_factory=time.monotonic)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def messages(self) -> list[dict]:
        """What the model is shown."""
        return self.body["messages"]

    @property
    def is_open(self) -> bool:
        """Whether its answer is not over and its connection stands."""
        return not self.over.is_set() and is_connected(self.connection)

    async def gone(self, timeout: float = 30) -> float:
        """Waits until it is not open any more; when that was seen."""
        await until(lambda: not self.is_open, timeout, "the request is still open")
        return time.monotonic()


@dataclass
class Tool:
    """What a tool answers, after so long."""

    result: object = None
    status: int = 200
    wait_s: float = 0
    raw: bytes | None = None  # in place of the result as JSON


def is_connected(connection: socket.socket) -> bool:
    """Whether the other side has not hung up."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except (OSError, ValueError):
        return False


async def until(condition, timeout: float, otherwise: str):
    """Waits until a condition holds; its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{otherwise} after {timeout} s"
        await asyncio.sleep(0.005)
    return value


class Gone(Exception):
    """Whoever asked has hung up, or the stub ends."""


class ModelStub:
    """One endpoint on a port of its own, with a thread for each connection."""

    def __init__(self, tls: ssl.SSLContext | None = None):
        self.asked: list[Asked] = []
        self.calls: list[tuple[str, object]] = []  # of tools: which, and with what
        self.tool_headers: list[dict[str, str]] = []
        self.tools: dict[str, Tool] = {}
        self.always = ALWAYS
        self.key: str | None = None  # what must be sent as a bearer token
        self._next: list[Answer] = []
        self._lock = threading.Lock()
        self._ends = threading.Event()
        stub = self

        class Handler(_Handler):
            def do_POST(self):
                stub._serve(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def base(self) -> str:
        """Where it is."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Of the endpoint itself."""
        return f"{self.base}/v1/chat/completions"

    def model(self, name: str = "stub", **more) -> dict:
        """A table of `[[models]]`."""
        return {"name": name, "url": self.url, "model": f"{name}-1"} | more

    def tool(self, name: str, result: object = "done", needs_approval: bool = False, timeout: str = "30s", **properties: str) -> dict:
        """A table of `[[tools]]`, whose arguments are these, all required, with the JSON types that are given."""
        self.tools[name] = Tool(result)
        types = {name: {"type": kind} for name, kind in properties.items()}
        schema = {"type": "object", "properties": types, "required": list(properties)}
        return {
            "name": name, "description": f"does {name}", "url": f"{self.base}/tools/{name}", "parameters": json.dumps(schema),
            "needs_approval": needs_approval, "timeout": timeout,
        }

    def will(self, *answers: Answer):
        """What the next requests get, each one of these."""
        with self._lock:
            self._next += answers

    def forget(self):
        """As it was at its beginning: what was asked and what was still to be answered are nobody's any more."""
        with self._lock:
            self.asked, self.calls, self._next, self.always, self.key = [], [], [], ALWAYS, None
            self.tool_headers = []

    async def request(self, number: int, timeout: float = 30) -> Asked:
        """The request with this number, from 0; waits for it."""
        await until(lambda: len(self.asked) > number, timeout, f"request {number} has not come")
        return self.asked[number]

    def close(self):
        """Ends it, and whoever still waits in it."""
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()

    # What a connection's thread does.

    def _serve(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        if handler.path.startswith("/tools/"):
            return self._serve_tool(handler, handler.path.removeprefix("/tools/"), body)
        asked = Asked(body, {name.lower(): value for name, value in handler.headers.items()}, handler.connection)
        with self._lock:
            self.asked.append(asked)
            answer = self._next.pop(0) if self._next else self.always
        is_known = self.key is None or asked.headers.get("authorization") == f"Bearer {self.key}"
        if handler.path != "/v1/chat/completions" or body.get("stream") is not True or not is_known:
            answer = replace(answer, status=401 if not is_known else 400)
        try:
            self._answer(handler, answer)
        except (Gone, OSError):
            handler.close_connection = True
        finally:
            asked.over.set()

    def _serve_tool(self, handler, name: str, arguments: object):
        tool = self.tools.get(name)
        with self._lock:
            self.calls.append((name, arguments))
            self.tool_headers.append({name.lower(): value for name, value in handler.headers.items()})
        try:
            self._wait(handler, tool.wait_s if tool else 0)
            data = b"{}" if tool is None else tool.raw if tool.raw is not None else json.dumps(tool.result).encode()
            handler.whole(tool.status if tool else 404, data)
        except (Gone, OSError):
            handler.close_connection = True

    def _answer(self, handler, answer: Answer):
        self._wait(handler, answer.first_s)
        if answer.end == "hang" and not answer.words:
            return self._hang(handler)
        if answer.status != 200:
            retry = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
            return handler.whole(answer.status, json.dumps({"error": {"message": SECRET}}).encode(), **retry)
        handler.stream(answer.piece_bytes)
        handler.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
        for word in answer.words:
            self._wait(handler, answer.pace_s)
            handler.event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
        match answer.end:
            case "cut":
                handler.flush()
                raise Gone
            case "malformed":
                handler.line(b"data: " + SECRET.encode() + b"\n\n")
                return self._hang(handler)
            case "hang":
                handler.flush()
                return self._hang(handler)
        for index, (tool, arguments) in enumerate(answer.calls):
            self._call(handler, answer, index, tool, arguments)
        reason = answer.reason or ("tool_calls" if answer.calls else "stop")
        handler.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if answer.usage:
            prompt, completion = answer.usage
            total = prompt + completion
            handler.event({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}})
        handler.line(b"data: [DONE]\n\n")
        handler.flush()
        handler.chunk(b"")

    def _call(self, handler, answer: Answer, index: int, tool: str, arguments: str):
        def delta(function: dict, **more):
            self._wait(handler, answer.pace_s)
            call = {"index": index, **more, "function": function}
            handler.event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]})

        length = -(-len(arguments) // answer.parts)
        delta({"name": tool, "arguments": ""}, id=f"call_{index}", type="function")
        for at in range(0, len(arguments), length):
            delta({"arguments": arguments[at:at + length]})

    def _hang(self, handler):
        while True:
            self._wait(handler, 60)

    def _wait(self, handler, seconds: float):
        """Waits so long, unless whoever asked hangs up."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._ends.is_set():
                raise Gone
            if select.select([handler.connection], [], [], min(left, 0.1))[0]:
                if not is_connected(handler.connection):
                    raise Gone
                time.sleep(min(left, 0.01))  # the next request is early


class _Handler(BaseHTTPRequestHandler):
    """A connection; its bodies are chunked."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def whole(self, status: int, data: bytes, **headers: str):
        """An answer in one piece."""
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, piece_bytes: int):
        """The head of a stream."""
        self.piece_bytes, self.held = piece_bytes, b""
        self.send_response(200)
        self.send_header("content-type", EVENT_STREAM)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def event(self, chunk: dict):
        """A chunk of chat completions."""
        self.line(b"data: " + json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk"} | chunk).encode() + b"\n\n")

    def line(self, data: bytes):
        """More of the body."""
        if not self.piece_bytes:
            return self.chunk(data)
        self.held += data
        while len(self.held) >= self.piece_bytes:
            self.chunk(self.held[:self.piece_bytes])
            self.held = self.held[self.piece_bytes:]

    def flush(self):
        """What is held back."""
        if self.held:
            self.chunk(self.held)
            self.held = b""

    def chunk(self, data: bytes):
        """One chunk of HTTP; an empty one is the last."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, *_):
        """Says nothing."""
