"""What perf/hosts reckons from measured figures: what stops one process, and how many a host needs. Nothing is measured here."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

PERF = Path(__file__).resolve().parents[2] / "perf"


@pytest.fixture(scope="module")
def hosts():
    """perf/hosts, which has no ending."""
    loader = importlib.machinery.SourceFileLoader("perf_hosts", str(PERF / "hosts"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("perf_hosts", loader))
    is_written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = is_written
    return module


def fact(median: float, least: float | None = None, most: float | None = None) -> dict:
    """A figure."""
    ends = {"median": median, "min": least or median, "max": most or median}
    return ends | {"unit": "us", "runs": 2, "from": "[a](a.txt)", "machine": "one"}


MEASURED = {"ours": fact(500), "delivery": fact(4), "sign_in": fact(40), "answer": fact(30), "word": fact(26, 25, 27),
            "own_word": fact(12, 11, 13)}


def test_words_of_models_stop_a_process_at_one_thread_of_its_bridge(hosts):
    # Of a core half is planned, a word takes it 14 us, and a student hears one a second.
    assert hosts.ceilings(MEASURED)["bridge"] == int(0.5 * 1e6 / 14)
    assert hosts.ceilings(MEASURED, "max")["bridge"] == int(0.5 * 1e6 / 16), "the dearest word, the cheapest without a bridge"


def test_a_rate_that_one_process_reached_is_not_stretched_by_cores(hosts):
    facts = MEASURED | {"answers": fact(1_000)}
    assert hosts.ceilings(facts)["answers"] == 0.5 * 1_000 * 30
    assert [hosts.host(cores, facts)["each"] <= 15_000 for cores in (16, 64, 128)] == [True] * 3


@pytest.mark.parametrize("cores", [16, 64, 128])
def test_a_big_host_needs_several_processes(hosts, cores):
    one = hosts.host(cores, MEASURED)
    most = min(hosts.ceilings(MEASURED).values())
    assert one["each"] <= most < one["students"]
    assert (one["processes"] - 1) * most < one["students"] <= one["processes"] * most


def test_without_models_behind_http_the_bridge_stops_nothing(hosts):
    facts = {name: value for name, value in MEASURED.items() if "word" not in name}
    assert set(hosts.ceilings(facts)) == {"files"}
    assert hosts.host(16, facts)["processes"] == 1 + hosts.host(16, facts)["students"] // (hosts.FILES - 64)


def test_the_interval_reaches_to_a_word_that_leaves_alone(hosts):
    peak = sum(hosts.demand(MEASURED).values())
    narrow, wide = ("\n".join(hosts.sureness(facts, peak, [])) for facts in (MEASURED, MEASURED | {"lone_word": fact(80, 77, 84)}))
    assert "84 us" in wide.replace("\n", " ") and "84" not in narrow
