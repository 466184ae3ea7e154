"""What nobody may read who has no right to it: tokens and passwords anywhere but in the answer that gives them out, and what people say
anywhere but with those who hear it. Signed in, refused and failed at every API; then every log line, every answer that was a refusal,
the metrics and the internal listener are looked through."""

import asyncio
import base64
import re

import chat
import labs
import quiz
import tasks
import tokens
from client import open_socket, sign_in
from contract import connect_request
from test_metrics import samples

# What people say, by where. A word that stands nowhere else.
WORDS = {where: f"zq{where}zwords" for where in ("presence", "quiz", "chat", "tasks", "labs")}
# A level and what comes behind it, as the text form of a log line has it.
LOUD = re.compile(r"^\S+\s+(ERROR|WARN|INFO) ")


class Said:
    """All that the server told to those who are not to know."""

    def __init__(self, house, http):
        self.house, self.http, self.texts = house, http, []

    async def ask(self, method: str, url: str, **more) -> int:
        """A request that must be refused; what is said is kept."""
        answer = await self.http.request(method, url, **more)
        assert answer.status_code >= 400, (url, answer.status_code, answer.text)
        self.texts.append(f"{answer.headers}\n{answer.text}")
        return answer.status_code

    async def knock(self, port: int, target: str, *headers: str):
        """An upgrade that must be refused."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        lines = (f"GET {target} HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers, "", "")
        writer.write("\r\n".join(lines).encode())
        said = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        assert not said.startswith(b"HTTP/1.1 101"), target
        self.texts.append(said.decode(errors="replace"))


def spoilt(token: str) -> str:
    """A token whose signature is another."""
    head, _, signature = token.rpartition(".")
    spoilt = f"{head}.{signature[::-1]}"
    tokens.MINTED.append(spoilt)
    return spoilt


async def test_nothing_that_is_secret_is_told(build, http, room, name):
    house = build(labs={"logins_a_minute": 100})
    said = Said(house, http)
    secrets = [password := f"correct-{name('horse')}-battery", wrong := f"wrong-{name('horse')}-battery"]

    # Presence: in by a good token, out by bad ones, in the frame and in the query of REST.
    anna = tokens.token(name("anna"))
    bad = spoilt(anna)
    secrets += [anna, bad]
    member = await sign_in(house, room, anna)
    for signed in (bad, WORDS["presence"], anna + "."):
        socket = await open_socket(house)
        socket.send(connect_request(room, signed))
        said.texts.append(await socket.text())
    agents = f"{house.url}/api/v1/classrooms/{room}/agents"
    await said.ask("GET", f"{agents}?access_token={bad}")
    await said.ask("GET", agents, headers={"authorization": f"Bearer {bad}"})
    event = {"entity_type": "chat", "operation": "said", "payload": {"text": WORDS["presence"]}}
    assert (await http.post(f"{house.internal}/api/v1/classrooms/{room}/events", json=event)).status_code == 200
    assert WORDS["presence"] in await member.text()

    # Quizzes: the owner's token and key, the participant's token, in queries and paths.
    teacher = quiz.Owner(house, http, name("teacher"))
    paper = await teacher.quiz()
    key = (await teacher.key())["key"]
    attempt = await teacher.begin(paper["id"])
    secrets += [teacher.token, key, attempt.session]
    for query in (f"token={spoilt(teacher.token)}", f"token={key[:-2]}xx", f"session={attempt.session[:-2]}xx", f"token={wrong}"):
        await said.knock(house.quiz_port, f"/ws?{query}")
    await said.ask("POST", f"{house.quiz}/api/v1/attempts/{attempt.session[:-2]}xx/answers", json={"answer": WORDS["quiz"]})
    answer = {"question_id": WORDS["quiz"], "answer": WORDS["quiz"]}
    await said.ask("POST", f"{house.quiz}/api/v1/attempts/{attempt.session}/answers", json=answer)
    await said.ask("POST", f"{house.quiz}/api/v1/auth/sign-in", json={"name": "nobody", "password": wrong})
    headers = {"authorization": f"Bearer {key}x"}
    await said.ask("PATCH", f"{house.quiz}/api/v1/quizzes/{paper['id']}", headers=headers, json={"title": WORDS["quiz"]})

    # Labs: logins, tokens of users, in queries and headers; the sockets of viewers and agents.
    lab = await labs.Lab(house, http, name).open()
    user = name("ulla")
    body = {"username": user, "email": f"{user}@example.com", "password": password, "role": "user"}
    assert (await http.post(f"{house.internal}/api/v1/labs/users", json=body)).status_code == 201
    login = await http.post(f"{house.labs}/api/v1/auth/login", json={"username": user, "password": password})
    assert login.status_code == 200
    secrets += [signed := login.json()["token"], lab.admin.token]
    for attempt_ in ({"username": user, "password": wrong}, {"username": WORDS["labs"], "password": password}, {"password": password}):
        await said.ask("POST", f"{house.labs}/api/v1/auth/login", json=attempt_)
    await said.ask("GET", f"{house.labs}/api/v1/sessions", headers={"authorization": f"Bearer {spoilt(signed)}"})
    session = "0190f000-0000-7000-8000-000000000001"
    for target in (f"/vnc-viewer/{session}?token={spoilt(signed)}", f"/vnc-viewer/{session}?token={signed}"):
        await said.knock(house.labs_port, target)
    await said.ask("POST", f"{house.labs}/api/v1/users", headers={"authorization": f"Bearer {signed}"}, json=body)

    # Chat and tasks: words that are answered, sockets by good and bad tokens.
    person = chat.Person(house, http, name("carla"))
    secrets.append(person.token)
    talk = await person.session()
    assert (await talk.say(WORDS["chat"]))
    await said.ask("POST", f"{house.chat}/api/v1/sessions/{talk.id}/chat", json={"content": WORDS["chat"]},
                   headers={"authorization": f"Bearer {spoilt(person.token)}"})
    await said.ask("POST", f"{house.chat}/api/v1/auth/login", json={"email": f"{user}@example.com", "password": wrong})
    clerk = tasks.Person(house, http, person.id, person.token)
    await clerk.make(task=WORDS["tasks"])
    await said.knock(house.chat_port, f"/ws?token={spoilt(person.token)}")
    await said.knock(house.chat_port, "/ws", f"Authorization: Bearer {spoilt(person.token)}")
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    await said.knock(house.chat_port, "/ws", f"Authorization: Basic {basic}")
    secrets.append(basic)

    # The console: its sign-in, and all that it and whoever looks after the server asks.
    await said.ask("POST", f"{house.internal}/console/sign-in", json={"name": user, "password": wrong})
    await said.ask("POST", f"{house.internal}/console/renew", headers={"authorization": f"Bearer {spoilt(signed)}"})
    await said.ask("GET", f"{house.internal}/nowhere?token={signed}")
    for path in ("/metrics", "/livez", "/readyz", "/api/v1/node", "/api/v1/classrooms", "/console/"):
        answer = await http.get(f"{house.internal}{path}")
        assert answer.status_code == 200, path
        said.texts.append(f"{answer.headers}\n{answer.text}")
    assert await samples(house, http)

    parts = [part for secret in secrets for part in (secret, secret.rsplit(".", 1)[-1]) if len(part) >= 12]
    told = "\n".join(said.texts)
    assert [part for part in parts if part in told] == [], "a secret is told"
    assert [word for word in WORDS.values() if word in told] == [], "somebody's words are told"
    log = house.log.read_text(errors="replace")
    assert [part for part in parts if part in log] == [], "a secret is logged"
    loud = "\n".join(line for line in re.sub(r"\x1b\[[0-9;]*m", "", log).splitlines() if LOUD.match(line))
    assert " INFO " in loud, "log lines are told apart"
    assert [word for word in WORDS.values() if word in loud] == [], "somebody's words are logged above debug"
