"""Agents whose model is behind HTTP: what it is asked, every fault that it can have, what comes with a message."""

import asyncio
import base64
import datetime
import ipaddress
import secrets
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chat import text, types
from model_stub import SECRET, Answer, ModelStub, busy, called, cut, failing, hanging, malformed, said, until

TOO_LONG = {"retry_after": 3600}
DAY = datetime.timedelta(days=1)


@pytest.fixture
async def session(pupil):
    """One whose agent's model is the stub."""
    return await pupil.session(agent_id="large")


# --- what it is asked


async def test_the_request_is_one_for_chat_completions(session, stub):
    await session.say("Hello")
    body = dict(stub.asked[0].body)
    assert (body["model"], body["stream"], body["stream_options"]) == ("large-1", True, {"include_usage": True})
    assert body["messages"] == [{"role": "system", "content": "You are large."}, {"role": "user", "content": "Hello"}]
    tools = {tool["function"]["name"]: tool for tool in body["tools"]}
    assert set(tools) == {"calculator", "search", "send_email", "lookup", "delete_course"}
    assert all(tool["type"] == "function" and tool["function"]["parameters"]["type"] == "object" for tool in tools.values())
    assert tools["lookup"]["function"]["description"] == "does lookup"
    assert stub.asked[0].headers["content-type"] == "application/json"
    assert set(body) == {"model", "messages", "stream", "stream_options", "tools"}


async def test_it_is_shown_what_was_said_before(session, stub):
    stub.will(said("Good day."), called("lookup", {"key": "a"}), said("It is 12."), said("Bye."))
    for content in ("Hello", "Look it up", "Bye"):
        await session.say(content)
    shown = stub.asked[-1].messages
    assert [one["role"] for one in shown] == ["system", "user", "assistant", "user", "assistant", "tool", "assistant", "user"]
    assert [one.get("content") for one in shown[1:4]] == ["Hello", "Good day.", "Look it up"]
    (call,) = shown[4]["tool_calls"]
    assert call["function"] == {"name": "lookup", "arguments": '{"key": "a"}'} and call["id"] == shown[5]["tool_call_id"]
    assert [one["content"] for one in shown[5:]] == ["[1, 2]", "It is 12.", "Bye"]


async def test_its_key_is_sent_and_is_in_no_log(build, stub, person, tmp_path):
    key, file = secrets.token_hex(16), tmp_path / "model.key"
    file.write_text(key + "\n")
    file.chmod(0o600)
    stub.key = key
    house = build(models=[stub.model("large", key_file=str(file))])
    house.secrets += [key, SECRET]
    session = await person(house).session()
    assert (await session.say("Hello"))["content"] == "Hello from the stub."
    stub.key = "another"
    told = await session.refused("AGENT_ERROR")
    assert key not in str(told)


async def test_what_it_took_is_told(session, stub):
    stub.will(called("lookup", {"key": "a"}, usage=(100, 10)), said("It is 12.", usage=(120, 20)))
    answer = await session.say("Look it up")
    assert answer["usage"] == {"prompt_tokens": 220, "completion_tokens": 30, "total_tokens": 250}
    stub.will(said("Here.", usage=None))
    usage = (await session.say("Hello"))["usage"]
    assert 0 < usage["completion_tokens"] < 5 and usage["prompt_tokens"] > 5, "it is estimated where the endpoint does not say"


# --- how its words come


async def test_a_slow_first_token_and_a_set_pace(session, stub):
    stub.will(said("One", "two", "three", first_s=0.4, pace_s=0.2))
    began = time.monotonic()
    source = await session.stream("Slowly")
    events = await source.rest()
    times = [event.at - began for event in source.parser.events[:3]]
    assert text(events) == "Onetwothree" and all(at >= 0.4 + 0.2 * number for number, at in enumerate(times, 1))
    stub.will(hanging("One", "two"))
    source = await session.stream("And now without an end")
    assert [(await source.event())["delta"] for _ in range(2)] == ["One", "two"], "they are not held back"
    source.leave()


@pytest.mark.parametrize("piece_bytes", [1, 3, 100])
async def test_chunks_may_be_cut_anywhere(session, stub, piece_bytes):
    words = ("Hé", "llo ", "🦊", "\n\n", "data: x")
    stub.will(said(*words, piece_bytes=piece_bytes))
    events = await (await session.stream("Say it")).rest()
    assert [event["delta"] for event in events[:-1]] == list(words)


async def test_a_call_may_be_split_over_chunks(session, stub):
    mail = {"to": "customer@example.com", "subject": "Überraschung: \"{[\\"}
    calls = (("send_email", '{"to":"a@example.com","subject":"x"}'), ("lookup", '{"key":"' + "k" * 500 + '"}'))
    stub.will(called("send_email", mail, parts=17), Answer(calls=calls, parts=9, piece_bytes=11), said("Done."))
    answer = await session.say("Write")
    assert answer["content"] == "Done." and [call["status"] for call in answer["tool_calls"]] == ["done"] * 3
    assert stub.calls[0] == ("send_email", mail)
    assert sorted(stub.calls[1:], key=str) == [("lookup", {"key": "k" * 500}), ("send_email", {"to": "a@example.com", "subject": "x"})]


async def test_an_answer_that_is_cut_at_its_limit_is_whole(session, stub):
    stub.will(said("So much", reason="length"))
    answer = await session.say("Tell me all")
    assert answer["content"] == "So much" and "status" not in answer


async def test_a_model_that_calls_and_calls_comes_to_an_end(build, stub, person):
    agent = {"name": "tutor", "model": "large", "tools": ["lookup"], "max_rounds": 3}
    house = build(models=[stub.model("large")], tools=[stub.tool("lookup", 1, key="string")], agents=[agent])
    session = await person(house).session()
    stub.always = called("lookup", {"key": "a"}, words=("Again. ",))
    answer = await session.say("Go")
    assert answer["content"] == "Again. " * 4 and len(stub.calls) == 3 and len(stub.asked) == 4
    assert "tools" not in stub.asked[3].body, "the last round has none"


async def test_an_answer_that_is_too_long_is_broken_off(build, stub, person):
    session = await person(build(models=[stub.model("large")], chat={"max_answer": "1KiB"})).session()
    stub.will(said(*["x" * 100] * 20))
    await session.refused("AGENT_ERROR")
    last = await session.last()
    assert (last["status"], last["content"]) == ("incomplete", "x" * 1000)


# --- its faults


async def test_too_many_requests_and_then_good(session, stub):
    stub.will(busy(retry_after=1), said("Now."))
    assert (await session.say("Hello"))["content"] == "Now."
    first, second = stub.asked
    assert second.at - first.at >= 1, "it waits as long as it was told to"
    assert first.body == second.body


@pytest.mark.parametrize("faults", [[busy()], [failing(500)], [failing(503), busy(retry_after=0)]], ids=["429", "500", "503 and 429"])
async def test_what_may_pass_is_tried_again(session, stub, faults):
    stub.will(*faults, said("Now."))
    assert (await session.say("Hello"))["content"] == "Now." and len(stub.asked) == len(faults) + 1


FAULTS = {
    "busy": ([busy(0)] * 3, "AGENT_UNAVAILABLE", 3, ""), "broken": ([failing(502)] * 3, "AGENT_UNAVAILABLE", 3, ""),
    "busy for long": ([busy(**TOO_LONG)], "AGENT_UNAVAILABLE", 1, ""), "refused": ([failing(400)], "AGENT_ERROR", 1, ""),
    "unknown": ([failing(404)], "AGENT_ERROR", 1, ""), "cut": ([cut("Hel", "lo")], "AGENT_ERROR", 1, "Hello"),
    "cut at once": ([cut()], "AGENT_ERROR", 1, ""), "malformed": ([malformed("Hel")], "AGENT_ERROR", 1, "Hel"),
    "malformed at once": ([malformed()], "AGENT_ERROR", 1, ""),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_does_not_pass_is_told_to_all(session, stub, fault):
    answers, code, times, words = FAULTS[fault]
    ear = await session.listen()
    await ear.here()
    stub.will(*answers)
    refused = await session.refused(code)
    assert len(stub.asked) == times and SECRET not in str(refused)
    frames = await ear.answer()
    assert types(frames) == [kind for kind in ("message_start", "content_delta" if words else "", "error", "message_end") if kind]
    assert (text(frames), frames[-2]["code"]) == (words, code) and SECRET not in str(frames)
    last = await session.last()
    assert (last["content"], last["status"]) == (words, "incomplete")
    ear.say("Again")
    assert text(await ear.answer()) == "Hello from the stub.", "and the next is answered"


async def test_a_silent_model_is_given_up(pupil, stub):
    session = await pupil.session(agent_id="hasty")
    for answer, words in ((hanging(), ""), (hanging("Once", " upon"), "Once upon")):
        stub.will(answer)
        await session.refused("AGENT_TIMEOUT")
        assert (await session.last())["content"] == words
        await stub.asked[-1].gone()
    stub.will(said("Slow", pace_s=0.1))
    assert (await session.say("Again"))["content"] == "Slow"


async def test_an_answer_has_its_time(build, stub, person):
    agent = {"name": "tutor", "model": "large", "time_limit": "2s"}
    session = await person(build(models=[stub.model("large")], agents=[agent])).session()
    stub.will(said(*["word "] * 300, pace_s=0.05))
    await session.refused("AGENT_TIMEOUT")
    await stub.asked[0].gone()
    last = await session.last()
    assert last["status"] == "incomplete" and 0 < len(last["content"]) < 1500


async def test_nobody_at_the_endpoint(build, stub, person):
    model = {"name": "large", "url": "http://127.0.0.1:9/v1/chat/completions", "model": "x", "attempts": 2}
    session = await person(build(models=[model])).session()
    told = await session.refused("AGENT_UNAVAILABLE")
    assert "127.0.0.1" not in told["message"]


# --- by TLS


def certified(folder) -> tuple[ssl.SSLContext, str]:
    """A server's TLS for 127.0.0.1, and the file of the authority that signed it."""
    now, keys = datetime.datetime.now(datetime.UTC), [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("authority", "model")]
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = []
    for name, key, extension in zip(names, keys, (x509.BasicConstraints(ca=True, path_length=0), here)):
        builder = x509.CertificateBuilder(names[0], name, key.public_key(), x509.random_serial_number(), now - DAY, now + DAY)
        signed.append(builder.add_extension(extension, critical=False).sign(keys[0], hashes.SHA256()))
    authority, files = folder / "authority.pem", [folder / "model.pem", folder / "model.key"]
    authority.write_bytes(signed[0].public_bytes(Encoding.PEM))
    files[0].write_bytes(signed[1].public_bytes(Encoding.PEM))
    files[1].write_bytes(keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*files)
    return tls, str(authority)


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_model_behind_tls(build, person, tmp_path, monkeypatch, is_known):
    tls, authority = certified(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    # Read instead of the machine's certificates.
    monkeypatch.setenv("SSL_CERT_FILE", authority if is_known else certified(other)[1])
    stub = ModelStub(tls)
    try:
        session = await person(build(models=[stub.model("large", attempts=1)])).session()
        if is_known:
            for _ in range(2):
                assert (await session.say("Hello"))["content"] == "Hello from the stub."
        else:
            await session.refused("AGENT_UNAVAILABLE")
            assert stub.asked == []
    finally:
        stub.close()


# --- a cancel ends its request


LONG = said(*["word "] * 1000, pace_s=0.02)


@pytest.mark.parametrize("answer", [hanging(), hanging("Once", " upon"), LONG], ids=["mute", "stuck", "busy"])
async def test_a_cancel_ends_the_request(session, stub, answer):
    stub.will(answer)
    ear = await session.listen()
    ear.say("Tell me a story")
    said_so_far = await ear.heard("message_start")
    for _ in answer.words[:2]:
        said_so_far.append(await ear.next("content_delta"))
    asked = await stub.request(0)
    assert asked.is_open
    ear.cancel()
    cancelled = time.monotonic()
    frames = await ear.answer()
    # Of the answers the shortest would have gone on for twenty seconds.
    assert time.monotonic() - cancelled < 10 and await asked.gone() - cancelled < 15
    assert types(frames)[-1] == "message_end" and "error" not in types(frames)
    await ear.here()
    last = await session.last()
    assert (last["status"], last["content"]) == ("incomplete", text(said_so_far + frames))
    ear.say("Again")
    assert text(await ear.answer()) == "Hello from the stub."


async def test_a_cancel_while_it_waits_to_try_again_asks_no_more(session, stub):
    stub.will(busy(retry_after=4))
    ear = await session.listen()
    ear.say("Hello")
    await stub.request(0)
    ear.cancel()
    await ear.answer()
    await asyncio.sleep(4.5)
    assert len(stub.asked) == 1


async def test_a_cancel_ends_a_tools_request(session, stub):
    stub.tools["send_email"].wait_s = 60
    stub.will(called("send_email", {"to": "a", "subject": "b"}))
    ear = await session.listen()
    ear.say("Write")
    await ear.next("tool_call")
    await until(lambda: stub.calls, 30, "the tool was not called")
    ear.cancel()
    assert types(await ear.answer())[-1] == "message_end"
    (call,) = (await session.settled())["tool_calls"]
    assert call["status"] == "dropped"


# --- what comes with a message


def attached(name: str, media_type: str, data: bytes) -> dict:
    """One of the files of a message."""
    return {"name": name, "media_type": media_type, "data": base64.b64encode(data).decode()}


@pytest.mark.parametrize("way", ["chat", "stream", "socket"])
async def test_files_are_stored_and_given_to_the_model(session, stub, way):
    files = [
        attached("a.png", "image/png", b"\x89PNG\x00"), attached("notes.txt", "text/plain", "Grüße".encode()),
        attached("x.bin", "application/octet-stream", b"\x00\x01"), attached("d.json", "application/json", b'{"a":1}'),
    ]
    if way == "chat":
        await session.say("Look", attachments=files)
    elif way == "stream":
        await (await session.stream("Look", attachments=files)).rest()
    else:
        ear = await session.listen()
        ear.say("Look", attachments=files)
        await ear.answer()
    shown = stub.asked[0].messages[-1]["content"]
    assert shown[0] == {"type": "text", "text": "Look"} and len(shown) == 5
    assert shown[1] == {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{files[0]['data']}"}}
    assert shown[2]["type"] == "text" and "notes.txt" in shown[2]["text"] and "Grüße" in shown[2]["text"]
    assert "x.bin" in shown[3]["text"] and "cannot be shown" in shown[3]["text"]
    assert '{"a":1}' in shown[4]["text"]
    first = (await session.messages())[0]
    assert first["attachments"] == [{name: one[name] for name in ("name", "media_type")} for one in files]
    await session.say("And now?")
    assert stub.asked[1].messages[1]["content"] == shown, "it is shown them again with what was said before"


async def test_files_that_are_too_large_or_none(build, stub, person):
    limits = {"max_attachments": 3, "max_attachment": "1KiB"}
    session = await person(build(models=[stub.model("large")], chat=limits)).session()
    one = attached("a", "text/plain", b"x")
    wrong = [
        [one] * 4, [attached("a", "text/plain", b"x" * 1025)], [attached("a", "text/plain", b"x" * 400)] * 3,
        [one | {"data": "?"}], [one | {"name": ""}], [one | {"name": "a\nb"}], [one | {"media_type": "x" * 128}], [one | {"data": "eA"}],
    ]
    for files in wrong:
        for route in ("chat", "chat/stream"):
            await session.refused("MESSAGE_INVALID", route=route, attachments=files)
    for files in ({}, "x", [7], [{"name": "a"}], [{"name": 7, "data": ""}]):
        await session.refused("VALIDATION_ERROR", attachments=files)
    ear = await session.listen()
    for files in wrong:
        ear.say("Hello", attachments=files)
        await ear.error("WS_MESSAGE_INVALID")
    assert stub.asked == [] and await session.messages() == []
    await session.say("Hello", attachments=[attached("a", "text/plain", b"x" * 341)] * 3)
    await session.say("Hello", attachments=[])
    assert ["attachments" in message for message in await session.messages()] == [True, False, False, False]


async def test_the_largest_files_go_every_way(pupil, stub):
    """4 MiB together, as the settings have it where nothing is said."""
    session = await pupil.session(agent_id="large")
    files = [attached(str(number), "image/png", secrets.token_bytes(512 << 10)) for number in range(8)]
    await session.say("Look", attachments=files)
    ear = await session.listen()
    ear.say("Look", attachments=files)
    await ear.answer()
    shown = stub.asked[1].messages[-1]["content"]
    assert [part["image_url"]["url"].partition(",")[2] for part in shown[1:]] == [one["data"] for one in files]
    too_much = [*files[:7], attached("7", "image/png", bytes((512 << 10) + 1))]
    await session.refused("MESSAGE_INVALID", attachments=too_much)
    ear.say("Look", attachments=too_much)
    await ear.error("WS_MESSAGE_INVALID")
