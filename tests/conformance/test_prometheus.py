"""A real Prometheus reads the server: native histograms and classic ones, its queries answer numbers, our rules find what they need."""

import asyncio
import contextlib
import json
import math
import subprocess

import httpx
import pytest

import house as houses
import tokens
from client import sign_in
from test_metrics import ROOT, prometheus_tool, samples

RULES = ROOT / "ops/homeroom.rules.yml"


class Prometheus:
    """One that scrapes a server each second. With `native` it reads native histograms, as the server offers them to it."""

    def __init__(self, folder, house, native: bool):
        self.url = f"http://127.0.0.1:{houses.PORTS.free()}"
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "homeroom", "static_configs": [{"targets": [house.internal.removeprefix("http://")]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # which is YAML too
        self.log = folder / "prometheus.log"
        words = [prometheus_tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address={self.url.removeprefix('http://')}"]
        words += ["--enable-feature=native-histograms"] if native else []
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)

    async def query(self, http, words: str) -> list[dict]:
        """What an instant query answers; nothing while it does not serve yet."""
        with contextlib.suppress(httpx.HTTPError):
            answer = await http.get(f"{self.url}/api/v1/query", params={"query": words})
            if answer.status_code == 200:
                return answer.json()["data"]["result"]
        return []

    async def until(self, http, words: str) -> float:
        """Waits until a query answers one number that is one; it."""
        for _ in range(1_200):
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            found = [float(sample["value"][1]) for sample in await self.query(http, words)]
            if len(found) == 1 and not math.isnan(found[0]):
                return found[0]
            await asyncio.sleep(0.1)
        targets = (await http.get(f"{self.url}/api/v1/targets")).text
        raise AssertionError(f"no number for {words}: {targets[:2000]}\n{self.log.read_text()[-2000:]}")

    async def rules(self, http) -> list[dict]:
        """Its rules, when each was evaluated."""
        for _ in range(1_200):
            groups = (await http.get(f"{self.url}/api/v1/rules")).json()["data"]["groups"]
            all_of_them = [rule for group in groups for rule in group["rules"]]
            if all_of_them and all(rule["health"] != "unknown" for rule in all_of_them):
                return all_of_them
            await asyncio.sleep(0.1)
        raise AssertionError("rules that are never evaluated")


@contextlib.contextmanager
def reading(folder, house, native: bool):
    """One, until the test is done with it."""
    prometheus = Prometheus(folder, house, native)
    try:
        yield prometheus
    finally:
        prometheus.process.terminate()
        try:
            prometheus.process.wait(30)
        except subprocess.TimeoutExpired:
            prometheus.process.kill()
            prometheus.process.wait()


@pytest.mark.parametrize("native", [True, False], ids=["native", "classic"])
async def test_a_prometheus_reads_the_server(build, http, room, name, tmp_path, native):
    prometheus_tool("prometheus")
    house = build()
    with reading(tmp_path, house, native) as prometheus:
        for shard in house.two_shards * 3:
            await sign_in(house, room, tokens.token(name()), shard=shard)
        of_all = "sum(homeroom_sign_in_seconds)" if native else "sum by (le) (homeroom_sign_in_seconds_bucket)"
        count = "sum(histogram_count(homeroom_sign_in_seconds))" if native else "sum(homeroom_sign_in_seconds_count)"
        await prometheus.until(http, f"{count} == 6")
        page = await samples(house, http)
        total = sum(value for sample, value in page.items() if sample.startswith("homeroom_sign_in_seconds_count"))
        took = sum(value for sample, value in page.items() if sample.startswith("homeroom_sign_in_seconds_sum"))
        assert total == 6
        median = await prometheus.until(http, f"histogram_quantile(0.5, {of_all})")
        most = await prometheus.until(http, f"histogram_quantile(1, {of_all})")
        assert 0 < median <= most < 60, "seconds"
        if native:
            # Buckets that grow by a twelfth at most: the mean lies between the least and the most of six, or a bucket beside them.
            least = await prometheus.until(http, f"histogram_quantile(0, {of_all})")
            assert least * 0.8 <= took / total <= most * 1.25
            mean = await prometheus.until(http, f"histogram_sum({of_all}) / histogram_count({of_all})")
            assert mean == pytest.approx(took / total, rel=1e-6)
            assert await prometheus.query(http, "homeroom_sign_in_seconds_bucket") == [], "these are not kept beside the native ones"
        # What happens over time, as the rules and the dashboard ask.
        await prometheus.until(http, "sum(rate(homeroom_accepted_total[30s]))")
        over_time = "sum(rate(homeroom_turn_seconds[30s]))" if native else "sum by (le) (rate(homeroom_turn_seconds_bucket[30s]))"
        assert 0 < await prometheus.until(http, f"histogram_quantile(0.99, {over_time})") < 60
        for rule in await prometheus.rules(http):
            assert rule["health"] == "ok", (rule["name"], rule.get("lastError"))

