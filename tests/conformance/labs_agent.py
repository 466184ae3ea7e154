"""Agents of both dialects, as a test wants them: they obey, fail, dawdle or stay silent, reach screens that do not exist, and note
whatever they were told."""

import asyncio
import base64
import hashlib
import json
import time
from dataclasses import dataclass

import websockets

from quiz import is_true_soon

BANNER = b"RFB 003.008\n"
CHUNK = 32 << 10
DATA, CREDIT = 1, 2
STARTED_AT = "2025-11-22T10:45:12Z"
CONTRACT_CAPACITY = {"max_cpu": 100, "max_memory": 256, "max_sessions": 100}


@dataclass
class Command:
    """What an agent was told to do, in either dialect. `data` is the contract's, or the payload of the other."""

    at: float
    id: str
    action: str
    session: str
    data: dict
    frame: dict


class Stream:
    """One tunnel at its agent's end: bytes that came from the viewer, and bytes for it."""

    def __init__(self, agent, session: str):
        self.agent, self.session = agent, session
        self.received = bytearray()
        self.count = 0
        self.digest = hashlib.sha256()
        self.keeps = True  # whether `received` has all bytes, not their checksum alone
        self.closed = asyncio.Event()

    def take(self, data: bytes):
        """Bytes of the viewer."""
        self.count += len(data)
        self.digest.update(data)
        if self.keeps:
            self.received += data

    async def has(self, count: int, timeout: float = 30):
        """Waits for so many bytes of the viewer in all."""

        async def enough():
            return self.count >= count

        await is_true_soon(enough, timeout)


class Tunnel(Stream):
    """In the contract's dialect: named by a `proxy_id`, in binary frames or in `vnc_data`, with credit if both want it."""

    def __init__(self, agent, request: dict):
        super().__init__(agent, request["session_id"])
        self.request, self.name = request, request["proxy_id"]
        self.number = int(self.name.removeprefix("proxy-"))
        self.text = False
        self.credit: int | None = None  # how much may still be sent; None: nothing is counted
        self.granted = asyncio.Event()
        self.gives = False  # whether the viewer's bytes are credited as they come

    async def ready(self, **more):
        """The screen is reached."""
        if "credit" in more:
            self.credit = 0
        self.text = more.get("encoding") == "base64"
        await self.agent.say(type="vnc_proxy_ready", proxy_id=self.name, **more)

    async def send(self, data: bytes):
        """For the viewer, in frames of 32 KiB, as credit allows where it is counted."""
        view = memoryview(data)
        while view:
            room = CHUNK if self.credit is None else min(CHUNK, self.credit)
            if not room:
                self.granted.clear()
                await self.granted.wait()
                continue
            piece, view = view[:room], view[room:]
            if self.credit is not None:
                self.credit -= len(piece)
            if self.text:
                await self.agent.say(type="vnc_data", proxy_id=self.name, data=base64.b64encode(piece).decode())
            else:
                await self.agent.socket.send(self.head(DATA) + bytes(piece))

    def head(self, kind: int) -> bytes:
        """Of a binary frame."""
        return bytes([kind]) + self.number.to_bytes(4)

    async def grant(self, count: int):
        """Takes so many bytes more."""
        await self.agent.socket.send(self.head(CREDIT) + count.to_bytes(4))

    async def close(self, error: str | None = None):
        """The end, with or without a fault."""
        if error is None:
            return await self.agent.say(type="vnc_proxy_close", proxy_id=self.name)
        await self.agent.say(type="vnc_proxy_error", proxy_id=self.name, error=error)


async def echo(tunnel: Tunnel):
    """A screen that greets and says everything again."""
    await tunnel.ready(credit=1 << 20)
    await tunnel.send(BANNER)
    said = 0
    while not tunnel.closed.is_set():
        piece = bytes(tunnel.received[said:])
        if piece:
            said += len(piece)
            await tunnel.grant(len(piece))
            await tunnel.send(piece)
        else:
            await asyncio.sleep(0.002)


async def unreached(_tunnel):
    """A screen that nobody answers for: the test does."""


async def obey(agent, command: Command):
    """The acknowledgement and, at once, the result."""
    await agent.acknowledge(command)
    await agent.complete(command)


async def ignore(_agent, _command):
    """Nothing."""


async def acknowledge(agent, command: Command):
    """The acknowledgement alone."""
    await agent.acknowledge(command)


def fail(error: str, code: str = "INSUFFICIENT_RESOURCES"):
    """The acknowledgement and a failure."""

    async def reaction(agent, command: Command):
        await agent.acknowledge(command)
        await agent.fail(command, error, code)

    return reaction


def after(event: asyncio.Event):
    """The acknowledgement at once, the result when the event comes."""

    async def reaction(agent, command: Command):
        await agent.acknowledge(command)
        await event.wait()
        await agent.complete(command)

    return reaction


class Base:
    """What both dialects have. `does` says by action how commands are met; what it has not is obeyed."""

    def __init__(self, house, name: str):
        self.house, self.name = house, name
        self.socket = None
        self.does: dict = {}
        self.told: list[dict] = []
        self.commands: list[Command] = []
        self.lines: list[str] = []
        self.streams: dict = {}
        self.beats = True
        self.close_code: int | None = None
        self.over = asyncio.Event()
        self.tasks: set[asyncio.Task] = set()

    async def upgrade(self, path: str, **headers: str):
        """The connection; `websockets` answers Pings and gives every message whole."""
        self.over.clear()
        self.socket = await websockets.connect(
            f"{self.house.sockets}://127.0.0.1:{self.house.labs_port}{path}", max_size=None, compression=None, proxy=None,
            ping_interval=None, ssl=self.house.context,
            additional_headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        self.spawn(self.listen(self.socket))

    def spawn(self, coroutine):
        """Runs beside the test, until `leave`."""
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def listen(self, socket):
        """Every message that comes."""
        try:
            async for message in socket:
                if isinstance(message, bytes):
                    self.hear_bytes(message)
                else:
                    frame = json.loads(message)
                    self.told.append(frame)
                    self.hear(frame)
        except websockets.ConnectionClosedError:
            pass
        self.close_code = socket.close_code
        self.over.set()
        for stream in self.streams.values():
            stream.closed.set()

    def hear_bytes(self, message: bytes):
        """A binary frame."""
        raise AssertionError(f"a binary frame of {len(message)} bytes")

    def command(self, command: Command):
        """Meets a command."""
        self.commands.append(command)
        self.spawn(self.does.get(command.action, obey)(self, command))

    async def send(self, message: dict):
        """A text frame."""
        await self.socket.send(json.dumps(message))

    async def commanded(self, action: str, session: str | None = None, count: int = 1, timeout: float = 30) -> Command:
        """Waits for the `count`th command of this kind (of this session)."""

        async def found():
            fitting = [
                command for command in self.commands if command.action == action and session in (None, command.session)
            ]
            return fitting[count - 1] if len(fitting) >= count else None

        return await is_true_soon(found, timeout)

    async def heard(self, kind: str, count: int = 1, timeout: float = 30) -> dict:
        """Waits for the `count`th message of this type."""

        async def found():
            fitting = [frame for frame in self.told if frame["type"] == kind]
            return fitting[count - 1] if len(fitting) >= count else None

        return await is_true_soon(found, timeout)

    async def beat(self, seconds: float):
        """Heartbeats, while `beats` says so."""
        while not self.over.is_set():
            await asyncio.sleep(seconds)
            if self.beats and not self.over.is_set():
                await self.heartbeat()

    async def leave(self):
        """The end, in good order."""
        if self.socket:
            await self.socket.close()
        self.stop()

    def vanish(self):
        """The end without a word, as a pulled cable has it."""
        self.socket.transport.abort()
        self.stop()

    def stop(self):
        """Ends whatever still runs."""
        for task in self.tasks:
            task.cancel()


class Agent(Base):
    """In the contract's dialect. `screen` is what it does with the request for a screen."""

    def __init__(self, house, name: str, platform: str = "kubernetes", region: str | None = "us-east-1", **registers):
        super().__init__(house, name)
        self.platform, self.region = platform, region
        self.registers = {"capacity": CONTRACT_CAPACITY} | registers
        self.screen = echo
        self.place = {"pod_ip": "10.42.1.5", "vnc_port": 5900, "started_at": STARTED_AT}

    async def connect(self, **headers: str):
        """The socket, without a word yet."""
        region = f"&region={self.region}" if self.region is not None else ""
        await self.upgrade(f"/agent/ws?agent_id={self.name}&platform={self.platform}{region}", **headers)

    async def join(self, beats_s: float | None = None, **headers: str) -> dict:
        """Connects and registers; what it was answered. It sends a heartbeat every `beats_s`, if that is given."""
        await self.connect(**headers)
        count = 1 + sum(frame["type"] == "register_ack" for frame in self.told)
        await self.register()
        answer = await self.heard("register_ack", count)
        if beats_s:
            self.spawn(self.beat(beats_s))
        return answer

    async def register(self, **more):
        """As in the contract."""
        region = {} if self.region is None else {"region": self.region}
        await self.say(type="register", platform=self.platform, **region, **(self.registers | more))

    async def say(self, type: str, **fields):
        """A message, with the agent's name unless it says another."""
        await self.send({"type": type, "agent_id": self.name} | fields)

    async def heartbeat(self, **more):
        """As in the contract."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        await self.say(type="heartbeat", timestamp=now, capacity={"current_sessions": 0}, **more)

    async def acknowledge(self, command: Command):
        """As in the contract."""
        await self.say(type="command_ack", command_id=command.id, status="acknowledged")

    async def complete(self, command: Command, **place):
        """As in the contract."""
        result = {"session_id": command.session}
        if command.action in ("start_session", "wake_session"):
            result |= {"pod_name": f"{command.data['name']}-7c8f9d6b5"} | self.place
        await self.say(type="command_result", command_id=command.id, status="completed", result=result | place)

    async def fail(self, command: Command, error: str, code: str = "INSUFFICIENT_RESOURCES"):
        """As in the contract."""
        await self.say(type="command_result", command_id=command.id, status="failed", error=error, error_code=code)

    def hear(self, frame: dict):
        """A message."""
        if frame["type"] == "command" and frame["command_type"] == "get_logs":
            request, tail = frame["data"]["request"], frame["data"]["tail"]
            if "get_logs" in self.does:
                return self.spawn(self.does["get_logs"](self, frame))
            return self.spawn(self.say(type="logs", request=request, lines=self.lines[-tail:] if tail else []))
        if frame["type"] == "command":
            self.command(Command(
                time.monotonic(), frame["command_id"], frame["command_type"], frame["session_id"], frame["data"], frame,
            ))
        elif frame["type"] == "vnc_proxy_request":
            tunnel = self.streams[frame["proxy_id"]] = Tunnel(self, frame)
            self.spawn(self.screen(tunnel))
        elif frame["type"] == "vnc_proxy_close":
            self.streams[frame["proxy_id"]].closed.set()
        elif frame["type"] == "vnc_data":
            self.streams[frame["proxy_id"]].take(base64.b64decode(frame["data"]))

    def hear_bytes(self, message: bytes):
        """A frame of a tunnel."""
        kind, tunnel = message[0], self.streams[f"proxy-{int.from_bytes(message[1:5])}"]
        if kind == CREDIT:
            assert len(message) == 9 and tunnel.credit is not None, "credit for who does not count"
            tunnel.credit += int.from_bytes(message[5:])
            return tunnel.granted.set()
        assert kind == DATA and len(message) - 5 <= CHUNK
        tunnel.take(message[5:])
        if tunnel.gives:
            self.spawn(tunnel.grant(len(message) - 5))

    async def tunnel(self, count: int = 1, timeout: float = 30) -> Tunnel:
        """Waits for the `count`th tunnel that it was asked for."""
        request = await self.heard("vnc_proxy_request", count, timeout)
        return self.streams[request["proxy_id"]]


class FieldAgent(Base):
    """In the second dialect: registers by HTTP, opens its tunnels by itself."""

    def __init__(self, house, http, name: str, platform: str = "kubernetes", region: str = "us-east-1"):
        super().__init__(house, name)
        self.http, self.platform, self.region = http, platform, region
        self.key = {"X-Agent-API-Key": "0" * 64}
        self.vnc_closed: list[dict] = []

    async def ask(self, path: str, body: dict, **headers: str):
        """POST under `/api/v1/agents`."""
        return await self.http.post(f"{self.house.labs}/api/v1/agents{path}", json=body, headers=self.key | headers)

    async def enrol(self):
        """Registers; the answer."""
        capacity = {"maxSessions": 10, "cpu": "64", "memory": "256Gi", "storage": "1Ti"}
        body = {"agentId": self.name, "platform": self.platform, "region": self.region, "capacity": capacity, "metadata": {"zone": "a"}}
        return await self.ask("/register", body)

    async def connect(self):
        """The socket."""
        await self.upgrade(f"/api/v1/agents/connect?agent_id={self.name}", **self.key)

    async def join(self, beats_s: float | None = None):
        """Registers and connects."""
        answer = await self.enrol()
        assert answer.status_code in (200, 201), answer.text
        await self.connect()
        if beats_s:
            self.spawn(self.beat(beats_s))
        return answer

    async def say(self, type: str, **payload):
        """An envelope."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        await self.send({"type": type, "timestamp": now, "payload": payload})

    async def heartbeat(self):
        """In its words."""
        capacity = {"maxSessions": 10, "cpu": "64", "memory": "256Gi", "storage": "1Ti"}
        await self.say("heartbeat", status="online", activeSessions=0, capacity=capacity)

    async def acknowledge(self, command: Command):
        """In its words."""
        await self.say("ack", commandId=command.id)

    async def complete(self, command: Command, **result):
        """In its words."""
        await self.say("complete", commandId=command.id, result={"sessionId": command.session} | result)

    async def fail(self, command: Command, error: str, _code: str = ""):
        """In its words."""
        await self.say("failed", commandId=command.id, error=error)

    async def status(self, session: str, state: str = "running", **more):
        """How a session is. Agents in the field send this envelope without a time."""
        where = {"podName": f"pod-{session[:8]}", "podIP": "10.42.1.9"}
        payload = {"sessionId": session, "state": state, "vncReady": True, "vncPort": 5901, "platformMetadata": where}
        await self.send({"type": "status", "payload": payload | more})

    async def push(self, session: str, data: bytes):
        """Bytes of a screen, whoever watches."""
        for start in range(0, len(data), CHUNK):
            await self.say("vnc_data", sessionId=session, data=base64.b64encode(data[start:start + CHUNK]).decode())

    def stream(self, session: str) -> Stream:
        """What came from this session's viewers."""
        return self.streams.setdefault(session, Stream(self, session))

    def hear(self, frame: dict):
        """An envelope."""
        assert set(frame) == {"type", "timestamp", "payload"}, frame
        payload = frame["payload"]
        if frame["type"] == "command":
            assert set(payload) == {"commandId", "action", "payload"}, payload
            inner = payload["payload"]
            self.command(Command(time.monotonic(), payload["commandId"], payload["action"], inner["sessionId"], inner, frame))
        elif frame["type"] == "vnc_data":
            self.stream(payload["sessionId"]).take(base64.b64decode(payload["data"]))
        elif frame["type"] == "vnc_close":
            self.vnc_closed.append(payload)
