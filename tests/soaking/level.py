"""Whether what was measured again and again stays level: slopes that a few wild values do not move, and bounds that are told with what
broke them. Nothing here looks at a clock or a process."""

import statistics
from dataclasses import asdict, dataclass

# Fewer values than these have no slope that says anything.
FEWEST = 6


@dataclass(frozen=True)
class Bound:
    """How far a series may rise from its first value to its last, by its slope: `most`, in its own unit, and a `share` of what it was in
    its first third."""

    most: float
    share: float = 0.0

    def of(self, values: list) -> float:
        """For these."""
        return self.most + self.share * abs(statistics.median(values[:max(3, len(values) // 3)]))


@dataclass(frozen=True)
class Verdict:
    """What became of one series."""

    what: str
    unit: str
    first: float
    last: float
    median: float
    rise: float
    allowed: float
    holds: bool

    def line(self) -> str:
        """For people."""
        word = "level" if self.holds else "BROKEN"
        return (f"{word:<7} {self.what:<44} rises by {self.rise:>9.3g} of {self.allowed:>8.3g} {self.unit} allowed"
                f"   (median {self.median:.4g}, first {self.first:.4g}, last {self.last:.4g})")

    def plain(self) -> dict:
        """For JSON."""
        return asdict(self)


def slope(points: list) -> float:
    """Theil and Sen's: the median of the slopes between all pairs of (x, y). Of 29 % wild values it takes no notice."""
    slopes = [(y2 - y1) / (x2 - x1) for place, (x1, y1) in enumerate(points) for x2, y2 in points[place + 1:] if x2 != x1]
    return statistics.median(slopes) if slopes else 0.0


def judge(what: str, unit: str, points: list, bound: Bound, beside: float = 0.0) -> Verdict | None:
    """How a series of (x, y) holds its bound; None: there are too few. `beside`: a rise of which it is known that the server has no part
    in it, which is allowed besides. Falling is always allowed."""
    if len(points) < FEWEST:
        return None
    values = [y for _, y in points]
    rise = slope(points) * (points[-1][0] - points[0][0])
    allowed = bound.of(values) + max(beside, 0.0)
    return Verdict(what, unit, values[0], values[-1], statistics.median(values), rise, allowed, rise <= allowed)


def rise(points: list) -> float:
    """From the first to the last, by the slope."""
    return slope(points) * (points[-1][0] - points[0][0]) if len(points) >= FEWEST else 0.0
