"""What perf/compare makes of its raw results: pairs, advantages, the best peer, the table, the plots. Nothing is measured here."""

import importlib.machinery
import importlib.util
import http.server
import json
import os
import select
import sys
import threading
import types
import uuid
import xml.etree.ElementTree
from pathlib import Path

import pytest

PERF = Path(__file__).resolve().parents[2] / "perf"
sys.path.insert(0, str(PERF))

import bouts  # noqa: E402
import members  # noqa: E402
import proof  # noqa: E402
import rig  # noqa: E402
import rivals  # noqa: E402
import tables  # noqa: E402

sys.path.remove(str(PERF))

ECHO, MEMORY, HALF, SIGN_INS = (bouts.SCENES[name] for name in ("echo", "memory", "half-1000", "sign-ins"))
PEERS = ["homeroom", "bare", "bun", "axum"]


def script():
    """perf/compare, which has no ending."""
    loader = importlib.machinery.SourceFileLoader("perf_compare", str(PERF / "compare"))
    spec = importlib.util.spec_from_loader("perf_compare", loader)
    module = importlib.util.module_from_spec(spec)
    is_written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(PERF))
    try:
        loader.exec_module(module)
    finally:
        sys.path.remove(str(PERF))
        sys.dont_write_bytecode = is_written
    return module


def notes(scene, **values) -> list:
    """Raw results: of each peer its values by round."""
    return [{"scene": scene.name, "peer": peer.replace("_", "-"), "round": number, "value": value}
            for peer, of_rounds in values.items() for number, value in enumerate(of_rounds) if value is not None]


def test_an_advantage_is_of_neighbours_in_one_round():
    found = tables.Found(notes(ECHO, homeroom=[100, 400, 300], bun=[50, 100, 300]))
    assert found.advantages(ECHO, "bun") == [2, 4, 1]
    assert found.of(ECHO, "bun") == [50, 100, 300]


def test_where_less_is_better_the_advantage_is_the_other_way_round():
    found = tables.Found(notes(MEMORY, homeroom=[500, 500], bun=[1500, 1000]))
    assert found.advantages(MEMORY, "bun") == [3, 2]


def test_a_round_that_one_of_them_lacks_is_no_pair():
    found = tables.Found(notes(ECHO, homeroom=[100, 100, 100], bun=[None, 50, None]))
    assert found.advantages(ECHO, "bun") == [2]
    assert found.advantages(ECHO, "axum") == []


def test_nothing_is_divided_by_what_is_not_above_nought():
    found = tables.Found(notes(MEMORY, homeroom=[-10], bun=[100]))
    assert found.advantages(MEMORY, "bun") == []
    assert tables.judge(found, MEMORY, PEERS) == []


def test_the_best_peer_is_neither_ours_nor_the_limit():
    found = tables.Found(notes(ECHO, homeroom=[100], bare=[900], bun=[70], axum=[80]))
    assert found.best(ECHO, PEERS) == "axum"
    assert tables.Found(notes(MEMORY, homeroom=[1], bare=[1], bun=[70], axum=[80])).best(MEMORY, PEERS) == "bun"
    assert tables.Found(notes(ECHO, homeroom=[100], bare=[900])).best(ECHO, PEERS) is None


def test_who_did_not_keep_the_rate_is_not_the_best():
    late = {"scene": HALF.name, "peer": "axum", "round": 0, "value": 1, "kept": False}
    found = tables.Found([*notes(HALF, homeroom=[3], bun=[5]), late])
    assert found.best(HALF, PEERS) == "bun"
    assert "did not keep the rate" in "\n".join(tables.scene_lines(found, HALF, PEERS))


@pytest.mark.parametrize(("ours", "holds"), [(119, False), (120, True)])
def test_the_median_of_the_advantages_is_judged(ours, holds):
    found = tables.Found(notes(ECHO, homeroom=[ours, ours, 10 * ours], bun=[100, 100, 100]))
    [verdict] = tables.judge(found, ECHO, PEERS)
    assert (verdict["against"], verdict["least"], verdict["holds"], verdict["runs"]) == ("bun", 1.2, holds, 3)


def test_fan_out_is_judged_against_the_limit_too():
    scene = bouts.SCENES["fan-out-1000"]
    found = tables.Found(notes(scene, homeroom=[100], bare=[110], bun=[90]))
    assert [(verdict["against"], verdict["holds"]) for verdict in tables.judge(found, scene, PEERS)] == [("bun", True), ("bare", False)]


@pytest.mark.parametrize(("kept", "holds"), [(True, True), (False, False)])
def test_who_did_not_keep_the_rate_was_not_better(kept, holds):
    raw = notes(HALF, homeroom=[1, 1], bun=[5, 5])
    raw[1]["kept"] = kept
    found = tables.Found(raw)
    assert [verdict["holds"] for verdict in tables.judge(found, HALF, PEERS)] == [holds]
    assert ("the rate not kept" in tables.text(found, [HALF], PEERS, {}, {"at": "now", "commit": "abc"})) != kept


def test_what_was_wanted_and_has_no_figure_is_told_as_not_judged():
    scene = bouts.SCENES["fan-out-1000"]
    assert tables.unjudged(tables.Found(notes(scene, homeroom=[100], bare=[110], bun=[90])), scene, PEERS) == []
    found = tables.Found(notes(scene, bare=[110], bun=[90]))
    assert [gap.rpartition(" against ")[2] for gap in tables.unjudged(found, scene, PEERS)] == ["the best peer", "bare"]
    assert "no verdict against the best peer" in tables.text(found, [scene], PEERS, {}, {"at": "now", "commit": "abc"})
    assert tables.unjudged(found, scene, ["homeroom", "bare"]) == ["fan-out-1000: no verdict against bare"], "no peer was asked for"


def test_nothing_is_wanted_of_who_has_no_part_in_a_scene():
    lacking = {"scene": ECHO.name, "peer": "nchan", "round": 0, "reason": "it has no echo", "lacks": True}
    assert tables.unjudged(tables.Found([*notes(ECHO, homeroom=[100]), lacking]), ECHO, ["homeroom", "nchan"]) == []


def test_the_exit_code_tells_what_is_missing_before_what_is_missed():
    outcome, good, bad = script().outcome, {"holds": True}, {"holds": False}
    assert [outcome([good], [], True, False), outcome([good, bad], [], True, False)] == [0, 1]
    assert [outcome([bad], ["a gap"], True, False), outcome([good], [], False, False), outcome([], [], False, True)] == [2, 2, 2]
    assert outcome([bad], ["a gap"], True, True) == 0, "small figures are not judged"


def test_the_text_has_ratios_first_and_says_why_something_is_missing():
    raw = [*notes(ECHO, homeroom=[100], bun=[50]), {"scene": SIGN_INS.name, "peer": "bare", "round": 0, "reason": "it knows no sign-in"}]
    text = tables.text(tables.Found(raw), [ECHO, SIGN_INS], PEERS[:3], {"bun": "1.0"}, {"at": "now", "commit": "abc"})
    lines = text.splitlines()
    assert lines[2].split() == ["homeroom", "is", "so", "many", "times", "echo", "sign-ins"]
    assert [line.split() for line in lines[3:5]] == [["bare", "–", "–"], ["bun", "2", "x", "–"]]
    assert "it knows no sign-in" in text
    assert "echo: 2 x bun (2 to 2), wanted >= 1.2: yes" in text


def test_a_plot_is_well_formed_and_names_every_peer_that_was_measured():
    found = tables.Found(notes(MEMORY, homeroom=[500, 520], bun=[1500, 1600], axum=[-4, 3]))
    tree = xml.etree.ElementTree.fromstring(tables.plot(found, MEMORY, PEERS))
    said = [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"homeroom", "bun", "axum", MEMORY.title} <= set(said) and "bare" not in said
    widths = [float(bar.get("width")) for bar in tree.iter("{http://www.w3.org/2000/svg}rect")]
    assert all(width >= 0 for width in widths)
    xml.etree.ElementTree.fromstring(tables.plot(tables.Found([]), MEMORY, PEERS))


def test_each_round_begins_with_another_peer():
    rotated = script().rotated
    assert [rotated([1, 2, 3], number) for number in range(4)] == [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 2, 3]]
    assert rotated([], 1) == []


def test_what_a_peer_lacks_is_named_for_scenes_that_there_are():
    kinds = {scene.kind for scene in bouts.SCENES.values()}
    assert set(bouts.TAKERS) == kinds
    assert all(set(peer.lacks) <= kinds for peer in rivals.PEERS.values())
    assert set(rivals.PEERS["homeroom"].FLAGS) == kinds


def test_a_result_has_no_paths_of_the_machine(monkeypatch):
    monkeypatch.setenv("HOME", "/someones/own")
    told = rig.placeless(f"{PERF.parent}/target/a failed:\n   /someones/own/.cargo/b, below {PERF.parent} and /someones/own\n")
    assert told == "target/a failed: ~/.cargo/b, below . and ~"
    assert rig.placeless("/someones/owner/c") == "/someones/owner/c", "another's folder"
    monkeypatch.setenv("HOME", "/")
    assert rig.placeless("/a/b") == "/a/b"


class Broken(rivals.Peer):
    """A peer of which nothing can be had."""

    name = "broken"

    def install(self):
        raise RuntimeError(f"no {PERF.parent}/here")

    def serve(self, run, scene):
        self.install()


class Notes:
    """In place of a run."""

    def __init__(self):
        self.raw = []

    def note(self, **what):
        self.raw.append(what)


def test_a_fault_of_any_kind_is_that_peers_alone():
    compare, run = script(), Notes()
    peers, _, absent = compare.install(run, [Broken(), rivals.PEERS["homeroom"]])
    assert ([peer.name for peer in peers], absent) == (["homeroom"], {"broken": "no here"})
    assert not compare.bout(run, ECHO, Broken(), 0)
    assert run.raw[0]["reason"] == "could not be taken: no here"


def test_an_installer_that_takes_too_long_ends_with_all_that_it_started(tmp_path):
    # Whoever has the pipe open is alive: its end is read when nobody has it.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(rig.Fault, match="something cannot be installed"):
            rivals.fetch("something", ["sh", "-c", "exec 3>pipe; sleep 600 >/dev/null 2>&1 & sleep 600"], tmp_path, within_s=1)
        assert select.select([heard], [], [], 30)[0] and os.read(heard, 1) == b""
    finally:
        os.close(heard)


def test_an_installer_says_why_it_failed(tmp_path):
    with pytest.raises(rig.Fault, match="no such package"):
        rivals.fetch("something", ["sh", "-c", "echo no such package >&2; exit 3"], tmp_path)
    with pytest.raises(rig.Fault, match="cannot be installed"):
        rivals.fetch("something", [tmp_path / "missing"], tmp_path)
    rivals.fetch("something", ["true"], tmp_path)


def test_a_server_that_does_not_start_is_ended(tmp_path, monkeypatch):
    program, started, spawn = tmp_path / "server", [], rig.spawn
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o700)

    def spawned(*words, **more):
        started.append(spawn(*words, **more))
        return started[-1]

    def never(*_):
        raise KeyboardInterrupt

    for name, value in (("HOMEROOM", program), ("SCRATCH", tmp_path / "scratch"), ("spawn", spawned), ("wait_for", never)):
        monkeypatch.setattr(rig, name, value)
    run = types.SimpleNamespace(server_core=min(os.sched_getaffinity(0)), conditions={})
    with pytest.raises(KeyboardInterrupt):
        rig.Homeroom(run)
    assert [process.returncode is not None for process in started] == [True]


def test_the_limit_pins_itself_to_the_core_of_all_servers():
    words, _ = rivals.PEERS["bare"].command(7000, Path("."), 3)
    assert words[-3:] == ["serve", 7000, 3]


class Channels(http.server.BaseHTTPRequestHandler):
    """What nchan does; `heard` says who is sent what. The first publish of each room counts nobody, as before a subscription began."""

    protocol_version = "HTTP/1.1"
    subscribers, is_begun, lock = {}, set(), threading.Lock()

    def log_message(self, *_):
        pass

    def do_GET(self):
        with self.lock:
            self.subscribers.setdefault(self.path.removeprefix("/sub/"), []).append(self.wfile)
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        # Until it leaves.
        self.rfile.read(1)
        self.close_connection = True

    def do_POST(self):
        text, room = self.rfile.read(int(self.headers["Content-Length"])), self.path.split("/")[4]
        with self.lock:
            known = self.subscribers.get(room, []) if room in self.is_begun else []
            self.is_begun.add(room)
            for member, said in self.heard(room, known, text):
                member.write(bytes([0x81, len(said)]) + said)
        answer = json.dumps({"subscribers": len(known)}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    @classmethod
    def heard(cls, room, known, text):
        return [(member, text) for member in known]


class Tell(Channels):
    @classmethod
    def heard(cls, room, known, text):
        return [(member, text) for members in cls.subscribers.values() for member in members]


class Change(Channels):
    @classmethod
    def heard(cls, room, known, text):
        return [(member, text.upper()) for member in known]


@pytest.mark.parametrize(("kind", "fault"), [(Channels, None), (Tell, "heard"), (Change, "heard")])
def test_nchan_proves_that_what_is_published_reaches_its_classroom_alone(kind, fault):
    kind.subscribers, kind.is_begun = {}, set()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        port = listener.server_port
        server = types.SimpleNamespace(port=port, address=f"127.0.0.1:{port}", dialect="nchan")
        try:
            if fault is None:
                proof.prove(server)
            else:
                with pytest.raises(rig.Fault, match=fault):
                    proof.prove(server)
        finally:
            listener.shutdown()


def test_a_forged_token_differs_in_its_signature_alone(tmp_path):
    server = rivals.Server.__new__(rivals.Server)
    server.key = tmp_path / "key"
    server.key.write_text("of this test")
    good = members.connect_request(server, "someone", uuid.uuid4())
    bad = proof.forged(good)
    tokens = [json.loads(frame[8:])["payload"].pop("token") for frame in (good, bad)]
    assert len(good) == len(bad) and tokens[0] != tokens[1]
    assert tokens[0].rsplit(".", 1)[0] == tokens[1].rsplit(".", 1)[0]
