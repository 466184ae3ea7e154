"""What is measured of tasks: what one costs from the asking to the result, and how late a thousand sockets hear of it."""

import base64
import contextlib
import os

from rig import SCRATCH, Homeroom, Load, Run


@contextlib.contextmanager
def homeroom(run: Run, *flags):
    """With a secret of those who ask; agents are those that are there where none is configured."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    secret = SCRATCH / "tasks.hs256"
    secret.write_text(base64.urlsafe_b64encode(os.urandom(36)).decode() + "\n")
    with Homeroom(run, "--tasks.secret-file", secret, *flags) as server:
        server.tasks_key = secret
        yield server


def asked(run: Run, *flags) -> dict:
    """One run of `homeroom-load tasks` at a fresh server, which fails where a message is not where it should be."""
    with homeroom(run) as server:
        report = Load(run, server, "tasks", "--look-rate", 10, *flags).wait(120)
    latency = {name: {figure: value / 1e6 for figure, value in figures.items() if figure != "count"}
               for name, figures in report["latencies"].items()}
    stages = {stage["stage"]: stage["workers"][0] for stage in report["generator"]}
    return {"per_second": report["rates"]["tasks_per_s"], "messages_per_second": report["rates"]["messages_per_s"],
            "cpu_us": report["server"]["cpu_us_per_task"], "latency_ms": latency, "counts": report["tasks"],
            "verdict": report["verdict"], "generator": stages["ask"]}


# A tenth by REST, a tenth watched alone as well: the defaults. An agent counts to ten in 200 ms.
MANY = ("--users", 1_000, "--sockets", 1, "--rate", 1_000, "--for", "15s")
FEW = ("--users", 50, "--sockets", 1, "--rate", 50, "--for", "2s")
# Two users who ask, a hundred admins who listen, each with all the sockets that he may have.
HEARD = ("--users", 2, "--admins", 100, "--sockets", 10, "--rate", 5, "--for", "15s")
HEARD_BY_FEW = ("--users", 2, "--admins", 5, "--sockets", 10, "--rate", 5, "--for", "2s")


def tasks(run: Run):
    """Tasks asked for and completed a second with the CPU of each, and how late 1,000 sockets of admins hear of them."""
    for _ in run.times(3):
        run.note(of="many", **asked(run, *run.size(MANY, FEW)))
        run.note(of="heard", **asked(run, *run.size(HEARD, HEARD_BY_FEW)))
    many, heard = ([raw for raw in run.raw if raw["of"] == of] for of in ("many", "heard"))
    run.figure("tasks completed a second, of those asked for at a rate", "/s", [raw["per_second"] for raw in many])
    run.figure("tasks for each CPU second of the server", "/CPU s", [1e6 / raw["cpu_us"] for raw in many])
    run.figure("CPU of one task, with all that is told of it", "us", [raw["cpu_us"] for raw in many])
    for measure, what in (("pending", "intended to pending"), ("begun", "intended to the first progress"),
                          ("list", "intended to a list by REST")):
        for figure in ("p50", "p99"):
            run.figure(f"{what}, {figure}", "ms", [raw["latency_ms"][measure][figure] for raw in many])
    sockets = heard[0]["counts"]["listening"]
    run.figure(f"messages a second at {sockets:,} sockets", "/s", [raw["messages_per_second"] for raw in heard])
    run.figure("CPU of one message", "us", [raw["cpu_us"] * raw["per_second"] / raw["messages_per_second"] for raw in heard])
    for figure in ("p50", "p99", "max"):
        run.figure(f"behind the first of the user's sockets, {figure}", "ms", [raw["latency_ms"]["at_admins"][figure] for raw in heard])
    run.figure(f"intended to pending with {sockets:,} who listen, p99", "ms", [raw["latency_ms"]["pending"]["p99"] for raw in heard])
