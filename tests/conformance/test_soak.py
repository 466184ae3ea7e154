"""How a soak judges: slopes, bounds, and what it says when one is broken."""

import asyncio
import importlib.machinery
import importlib.util
import random
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/soaking"), str(ROOT / "perf")]
import crowds  # noqa: E402
import days  # noqa: E402
import level  # noqa: E402
from client import open_socket  # noqa: E402


@pytest.fixture(scope="module")
def soak():
    """The program as a module."""
    loader = importlib.machinery.SourceFileLoader("soak", str(ROOT / "tests/soak"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("soak", loader))
    loader.exec_module(module)
    return module


def past(**slopes) -> list:
    """Thirty days of two minutes each with a noisy but level server, but for what is said to rise, a day."""
    noise = random.Random(1)

    def day(number: int) -> dict:
        def value(name: str, base: float) -> float:
            return base * noise.uniform(0.97, 1.03) + slopes.get(name, 0) * number

        tail = value("tail", 12) * (20 if number % 9 == 4 else 1)  # a day on which the machine stood still
        return {
            "minutes": 2.0 * number, "memory_mib": value("memory", 70), "descriptors": round(48 + slopes.get("descriptors", 0) * number),
            "threads": 15, "cpu_day_s": value("cpu", 4), "lag_ms": value("lag", 5), "wrong": [], "kills": number, "hangups": number,
            "gauges": {"homeroom_connections": 0.0, "homeroom_store_batch_size": number,
                       "homeroom_timers": 3 + slopes.get("timers", 0) * number},
            "latencies": {"steady.quiz.answer": {"p50": value("middle", 2), "p99": tail}},
        }

    return [day(number) for number in range(1, 31)]


def broken(soak, **slopes) -> list:
    """What does not hold."""
    return [verdict.what for verdict in soak.judge(past(**slopes)) if not verdict.holds]


def test_a_level_server_holds_whatever_single_days_were_like(soak):
    assert broken(soak) == []
    assert len(soak.judge(past())) == 8


def test_each_series_that_rises_is_found_and_named(soak):
    assert broken(soak, memory=0.3) == ["resident memory at rest"]
    assert broken(soak, descriptors=0.2) == ["open descriptors at rest"]
    assert broken(soak, cpu=0.1) == ["CPU of a day"]
    assert broken(soak, timers=1) == ["homeroom_timers at rest"]
    assert broken(soak, middle=0.4) == ["steady.quiz.answer p50"]
    assert broken(soak, tail=2) == ["steady.quiz.answer p99"]


def test_what_falls_is_no_fault_nor_what_the_generator_itself_was_late(soak):
    assert broken(soak, memory=-1, cpu=-0.1) == []
    assert broken(soak, tail=2, lag=2) == []


def test_too_few_say_nothing():
    assert level.judge("x", "", [(number, number * 100) for number in range(level.FEWEST - 1)], level.Bound(1)) is None


def test_a_verdict_says_by_how_much():
    verdict = level.judge("memory", "MiB", [(number, 10 + number) for number in range(11)], level.Bound(most=2, share=0.1))
    assert (verdict.rise, verdict.allowed, verdict.holds) == (10, 3.1, False)
    assert verdict.line().startswith("BROKEN  memory") and "rises by" in verdict.line()


def test_gauges_of_others_are_no_fault_of_a_day():
    def check(what: str, found: int) -> dict:
        return {"what": what, "expected": 1, "found": found}

    report = {"checks": [check("the server's connections", 7), check("quiz: answers", 0), check("chat: words", 1)], "faults": {"closed": 2}}
    assert crowds.failings(report) == ["quiz: answers: expected 1, found 0", "closed: 2"]


def test_a_day_has_all_five_and_every_phase():
    for seconds in (14, 120):
        text = days.profile(seconds)
        assert all(f"[{part}]" in text for part in ("presence", "quiz", "chat", "tasks", "labs", "ramp", "steady", "storm", "drain"))
        assert "{" not in text and '"0s"' not in text


async def test_a_server_is_at_rest_until_somebody_comes(build, http):
    house = build()
    assert days.busy(await at_rest(house, http)) == {}
    socket = await open_socket(house)
    assert "homeroom_connections" in days.busy(days.gauges((await http.get(f"{house.internal}/metrics")).text))
    socket.abort()
    assert days.busy(await at_rest(house, http)) == {}


async def at_rest(house, http) -> dict:
    """Its gauges, when it is at rest or has had time enough to be."""
    for _ in range(200):
        found = days.gauges((await http.get(f"{house.internal}/metrics")).text)
        if not days.busy(found):
            break
        await asyncio.sleep(0.1)
    return found
