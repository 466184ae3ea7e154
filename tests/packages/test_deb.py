"""The Debian package: what lintian says of it, how hard its unit is, and its life on a system that systemd has booted."""

import grp
import os
import pwd
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
UNIT = HERE.parents[1] / "packaging/debian/homeroom.service"
# CAP_NET_BIND_SERVICE, and no other.
BIND_SERVICE = 1 << 10


def run(*words, **more) -> subprocess.CompletedProcess:
    """With what it says as text."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)


def test_lintian_finds_nothing(package, needed):
    needed("lintian")
    # As root it warns of itself, which is no word about the package.
    judged = run("lintian", "--allow-root", "--fail-on", "error,warning", "--info", package)
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_every_override_is_explained():
    path = UNIT.with_name("homeroom.lintian-overrides")
    lines = path.read_text().splitlines() if path.exists() else []
    for above, line in zip([""] + lines, lines):
        assert line.startswith("#") or above.startswith("#"), f"why: {line}"


def test_the_unit_is_hard(needed):
    needed("systemd-analyze")
    judged = run("systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT)
    exposure = re.search(r"Overall exposure level for homeroom.service: ([0-9.]+)", judged.stdout)
    assert exposure and float(exposure[1]) <= 2.0, judged.stdout


def test_the_packages_files(package):
    listed = run("dpkg-deb", "--contents", package).stdout
    for path in (
        "usr/bin/homeroom", "etc/homeroom/homeroom.toml", "lib/systemd/system/homeroom.service", "usr/share/man/man1/homeroom.1.gz",
        "usr/share/man/man1/homeroom-serve.1.gz", "usr/share/bash-completion/completions/homeroom",
        "usr/share/zsh/vendor-completions/_homeroom", "usr/share/fish/vendor_completions.d/homeroom.fish",
        "usr/share/man/man1/homeroom-top.1.gz", "etc/logrotate.d/homeroom", "usr/share/homeroom/ops/homeroom.rules.yml",
        "usr/share/homeroom/ops/prometheus.yml", "usr/share/homeroom/ops/grafana/homeroom.json",
        "usr/share/doc/homeroom/examples/60-homeroom.conf", "usr/share/doc/homeroom/copyright",
    ):
        assert re.search(rf"\./(usr/)?{re.escape(path)}$", listed, re.M), f"{path} is not in\n{listed}"
    assert "sysctl.d" not in listed, "it is offered, not forced"
    assert not re.search(r"pages\.1", listed)


def test_the_audit_log_is_turned_over_and_the_server_told(needed, tmp_path):
    needed("logrotate")
    text = UNIT.with_name("homeroom.logrotate").read_text()
    # As it stands, but for the folder, the user, and who is told.
    told, folder = tmp_path / "told", tmp_path / "log"
    folder.mkdir(mode=0o750)
    own = f"su {pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"
    for theirs, ours in (("/var/log/homeroom", str(folder)), ("su homeroom homeroom", own)):
        assert theirs in text
        text = text.replace(theirs, ours)
    text, count = re.subn(r"^ *\[ ! -d .*kill --signal=HUP homeroom.service.*$", f"touch {told}", text, flags=re.M)
    assert count == 1, text
    rules = tmp_path / "rules"
    rules.write_text(text)
    rules.chmod(0o644)
    log = folder / "audit.log"
    log.write_text("{}\n")
    turned = run("logrotate", "--force", "--state", tmp_path / "state", rules)
    assert turned.returncode == 0, turned.stderr
    [moved] = folder.iterdir()
    assert moved.name.startswith("audit.log-") and moved.read_text() == "{}\n", "it is not compressed while it may be written to"
    assert told.exists()


@pytest.fixture(scope="module")
def life(package, tmp_path_factory) -> dict:
    """What the judge said."""
    if os.geteuid() != 0:
        pytest.skip("only root can boot a system")
    folder = tmp_path_factory.mktemp("system")
    booted = run("unshare", "--mount", HERE / "boot", folder, package, HERE / "judge", timeout=480)
    if booted.returncode == 3 or booted.returncode == 127:
        pytest.skip(f"no system can be booted here: {(booted.stderr.strip().splitlines() or ['?'])[-1]}")
    said = dict(re.findall(r"^([a-z_]+)=(.*)$", booted.stdout, re.M))
    assert said.get("end") == "yes", booted.stdout[-4000:] + booted.stderr[-2000:]
    return said


def test_it_starts_as_its_unit_says(life):
    assert life["installed"] == "0" and life["started"] == "yes", life
    assert life["enabled"] == "enabled"
    assert life["kind"] in ("notify-reload", "notify"), "the second before systemd 253"
    assert life["user"] == "homeroom" and life["state"] == "homeroom 750" and life["logs"] == "homeroom 750"
    assert int(life["capabilities"], 16) == BIND_SERVICE and life["seccomp"] == "2"
    assert float(life["exposure"]) <= 2.0
    assert life["doctor"] == "0"


def test_it_serves(life):
    assert life["signed_in"] == '{"type":"connect_success"}'
    assert life["user_added"] == "0"


def test_it_reloads_and_the_watchdog_watches(life):
    assert life["reload"] == "0" and life["reloaded"] == "yes" and life["restarted"] == "yes", life


def test_another_process_takes_over_and_is_the_units_own(life):
    assert life["joined"] == "yes" and life["upgrade"] == "0" and life["upgraded"] == "yes", life
    assert life["heard_after_upgrade"] == "yes" and life["user_after_upgrade"] == "homeroom", life
    assert life["reload_after_upgrade"] == "0" and life["reloaded_after_upgrade"] == "yes" and life["restarts_after_upgrade"] == "0", life


def test_it_stops_well_and_leaves_nothing(life):
    assert life["stopped"] == "success 0"
    assert life["removed"] == "0" and life["kept"] == "/etc/homeroom/homeroom.toml homeroom"
    assert life["purged"] == "0" and life["account"] == ""
    assert set(life["traces_after"].split()) - set(life["traces_before"].split()) == set()
