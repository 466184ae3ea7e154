"""What the server's own counters say, over all shards."""

import asyncio
import time
from pathlib import Path

from test_metrics import samples


class Gauges:
    """One reading."""

    def __init__(self, page: dict[str, float]):
        self.page = page

    def __getitem__(self, name: str) -> int:
        """The sum of the samples of this name, over all labels unless it names some, as in `ws_connection{status="success"}`."""
        names = (name, f"{name}_total")
        found = [value for sample, value in self.page.items() if sample in names or sample.split("{")[0] in names]
        assert found, f"no {name} in {sorted(self.page)}"
        return int(sum(found))


async def gauges(house, http) -> Gauges:
    """Asks once."""
    return Gauges(await samples(house, http))


async def until(house, http, holds, within: float, what: str) -> float:
    """Asks until the condition holds; returns how long that took."""
    began = time.monotonic()
    while True:
        now = await gauges(house, http)
        took = time.monotonic() - began
        if holds(now):
            return took
        assert took < within, f"{what}: not within {within} s; {now.page}"
        await asyncio.sleep(0.02)


def starved_ms(*pids: int) -> float:
    """How long these processes have waited for a core since they began, each by its worst thread: time that the machine gave to others."""
    return sum(max(int((task / "schedstat").read_text().split()[1]) for task in Path(f"/proc/{pid}/task").iterdir()) for pid in pids) / 1e6
