"""What is measured of chat: answers that stream, and their cancels. The generator is the model too, and knows when each word was sent."""

import contextlib
from pathlib import Path

from rig import SCRATCH, Homeroom, Load, Run, free_port

# As a language model behind HTTP is configured. By default 64 answers of one model stream at a time.
MODEL = """[[models]]
name = "load"
url = "http://127.0.0.1:{port}/v1/chat/completions"
model = "load"
places = 4096
"""
# 20 words a second, as somebody reads; and a thousand, so that words come between a cancel and its end if they can.
READ, POURED = "50ms", "1ms"


@contextlib.contextmanager
def homeroom(run: Run, is_builtin: bool):
    """With who answers: the agent that is built in, or a model, and where that is to listen."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    port, config = free_port(), Path(SCRATCH) / "chat.toml"
    config.write_text("" if is_builtin else MODEL.format(port=port))
    with Homeroom(run, "--config", config) as server:
        server.answers = ("--agent", "tutor") if is_builtin else ("--model-listen", f"127.0.0.1:{port}")
        yield server


def chat(run: Run, sessions: int, words: int, *flags, pace: str = READ, is_builtin: bool = False) -> dict:
    """One run of `homeroom-load chat`, which fails where a word is not where it should be. A fresh server."""
    with homeroom(run, is_builtin) as server:
        sizes = ("--sessions", sessions, "--words", words, "--pace", pace)
        report = Load(run, server, "chat", *sizes, *server.answers, *flags).wait(180)
    latency = {name: {figure: value / 1e6 for figure, value in figures.items() if figure != "count"} | {"count": figures["count"]}
               for name, figures in report["latencies"].items()}
    workers = next(stage for stage in report["generator"] if stage["stage"] == "stream")["workers"]
    cpu = {sample["at"]: sample["cpu_ns"] for sample in report["server"]["samples"]}
    server_ns = cpu["streamed"] - cpu["streaming"]
    return {"words_per_second": report["rates"]["words_per_s"], "cpu_us": report["server"]["cpu_us_per_word"], "latency_ms": latency,
            "server_share": server_ns / workers[0]["wall_ns"], "generator_of_server": sum(each["cpu_ns"] for each in workers) / server_ns,
            "verdict": report["verdict"], "counts": report["chat"], "generator": workers}


def at(found: list, measure: str, figure: str) -> list:
    """In milliseconds."""
    return [raw["latency_ms"][measure][figure] for raw in found]


def streams(run: Run):
    """How the words of 2,000 answers that stream at once, 20 a second each, come to their sockets, against their sending by the model."""
    # Each session speaks anew half a second after its answer has ended, so that of 105 sessions 100 hear an answer at any time.
    words, every = run.size((200, "10500ms"), (20, "1500ms"))
    many, some = run.size((2_100, 105), (60, 12))
    loads = {"2,000 answers at once": (many, False), "2,000 answers of the built-in agent at once": (many, True),
             "100 answers at once": (some, False)}
    for what, (sessions, is_builtin) in loads.items():
        for _ in run.times(2):
            # What comes before all speak is not measured.
            flags = ("--every", every, "--messages", 3, "--unmeasured", 1, "--sample", 50)
            run.note(of=what, **chat(run, sessions, words, *flags, is_builtin=is_builtin))
    for what, (_, is_builtin) in loads.items():
        found = [raw for raw in run.raw if raw["of"] == what]
        run.figure(f"{what}: gap between words off the model's, p99", "ms", at(found, "gap", "p99"), most=10)
        run.figure(f"{what}: gap off, max", "ms", at(found, "gap", "max"))
        if not is_builtin:
            run.figure(f"{what}: the first word, from its sending, p99", "ms", at(found, "first_word", "p99"), most=2)
        shown = {"reply": "from the message's intended moment to the first"}
        # The built-in agent sends nothing: there is only its pace.
        shown |= {} if is_builtin else {"word": "any other word, from its sending"}
        for measure, name in shown.items():
            for figure in ("p50", "p99"):
                run.figure(f"{what}: {name}, {figure}", "ms", at(found, measure, figure))
        run.figure(f"{what}: words a second", "/s", [raw["words_per_second"] for raw in found])
        run.figure(f"{what}: CPU of one word, its part of all else included", "us", [raw["cpu_us"] for raw in found])
        run.figure(f"{what}: of the server's core", "%", [100 * raw["server_share"] for raw in found])
        run.figure(f"{what}: CPU of the generator, of the server's", "x", [raw["generator_of_server"] for raw in found])


def cancel(run: Run):
    """From a cancel in the middle of an answer to its last word, to its end, and until the model's request is gone."""
    # What is left of an answer at its middle takes longer than a cancel may.
    words, every, sessions = run.size((400, "5500ms", 400), (400, "1500ms", 20))
    for _ in run.times(3):
        run.note(**chat(run, sessions, words, "--every", every, "--messages", 3, "--cancel-every", 2, "--sample", 50, pace=POURED))
    for measure, what, most in (
        ("cancel_word", "to the last word", 100), ("cancel_gone", "until the model's request is gone", 100),
        ("cancel_end", "to message_end", None),
    ):
        run.figure(f"cancel {what}, max", "ms", at(run.raw, measure, "max"), most=most)
        run.figure(f"cancel {what}, p50", "ms", at(run.raw, measure, "p50"))
    run.figure("cancels", "", [raw["counts"]["cancels"] for raw in run.raw])
