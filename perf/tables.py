"""What perf/compare found, as a table and as plots: ratios first, then medians and spread."""

import statistics
from xml.sax.saxutils import escape

from bouts import Scene
from rig import shown

OURS, LIMIT = "homeroom", "bare"


class Found:
    """The values of each scene: of each peer one for each round, nothing where there is none."""

    def __init__(self, raw: list):
        self.values, self.kept, self.reasons, self.lacking = {}, {}, {}, set()
        for note in raw:
            key = (note["scene"], note["peer"])
            if "value" not in note:
                self.reasons[key] = note["reason"]
                if note.get("lacks"):
                    self.lacking.add(key)
                continue
            self.values.setdefault(key, {})[note["round"]] = note["value"]
            self.kept[key] = self.kept.get(key, True) and note.get("kept", True)

    def of(self, scene: Scene, peer: str) -> list:
        """The peer's values, in the order of the rounds."""
        return [value for _, value in sorted(self.values.get((scene.name, peer), {}).items())]

    def advantages(self, scene: Scene, peer: str) -> list:
        """How many times better Homeroom is, within each round: above 1 it is."""
        ours, theirs = (self.values.get((scene.name, name), {}) for name in (OURS, peer))
        pairs = [(ours[number], theirs[number]) for number in sorted(ours.keys() & theirs.keys())]
        if any(our <= 0 or their <= 0 for our, their in pairs):
            return []
        return [our / their if scene.more else their / our for our, their in pairs]

    def best(self, scene: Scene, peers: list) -> str | None:
        """The peer with the best median, the limit apart."""
        known = [peer for peer in peers if peer not in (OURS, LIMIT) and self.of(scene, peer) and self.kept[scene.name, peer]]
        pick = max if scene.more else min
        return pick(known, key=lambda peer: statistics.median(self.of(scene, peer)), default=None)


def judge(found: Found, scene: Scene, peers: list) -> list:
    """What was wanted of Homeroom in this scene: against whom, the bound, the advantages, and whether their median holds it. Who did not
    keep the rate, or lost something, was not better, whatever the median of what came."""
    judged = []
    for peer, least in ((found.best(scene, peers), scene.least), (LIMIT, scene.least_of_limit)):
        advantages = found.advantages(scene, peer) if peer and least is not None else []
        if advantages:
            judged.append({"scene": scene.name, "against": peer, "least": least, "median": statistics.median(advantages),
                           "min": min(advantages), "max": max(advantages), "runs": len(advantages),
                           "holds": statistics.median(advantages) >= least and found.kept[scene.name, OURS]})
    return judged


def unjudged(found: Found, scene: Scene, peers: list) -> list:
    """What was wanted of Homeroom in this scene and cannot be judged, in words: one of both has no figure."""
    able = [peer for peer in peers if (scene.name, peer) not in found.lacking]
    wanted = {"the best peer": any(peer not in (OURS, LIMIT) for peer in able),
              LIMIT: LIMIT in able and scene.least_of_limit is not None}
    judged = [LIMIT if verdict["against"] == LIMIT else "the best peer" for verdict in judge(found, scene, peers)]
    return [f"{scene.name}: no verdict against {whom}" for whom, is_wanted in wanted.items() if is_wanted and whom not in judged]


def spread(values: list) -> str:
    """Median, and from where to where."""
    return f"{shown(statistics.median(values))} ({shown(min(values))} to {shown(max(values))}, {len(values)} runs)"


def columns(rows: list) -> list:
    """Lines whose columns stand below each other."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]


def ratios(found: Found, scenes: list, peers: list) -> list:
    """Homeroom against each: one row a peer, one column a scene."""
    rows = [["homeroom is so many times", *(scene.name for scene in scenes)]]
    for peer in peers:
        if peer != OURS:
            cells = [found.advantages(scene, peer) for scene in scenes]
            rows.append([peer, *(f"{shown(statistics.median(cell))} x" if cell else "–" for cell in cells)])
    return columns(rows)


def scene_lines(found: Found, scene: Scene, peers: list) -> list:
    """One scene: of each peer the advantage over it, then its own figure."""
    rows = []
    for peer in peers:
        values, advantages = found.of(scene, peer), found.advantages(scene, peer)
        if not values:
            rows.append([f"  {peer}", "–", found.reasons.get((scene.name, peer), "not taken")])
            continue
        late = "" if found.kept[scene.name, peer] else "  did not keep the rate"
        advantage = f"{spread(advantages)} x" if advantages else "–"
        rows.append([f"  {peer}", "" if peer == OURS else advantage, f"{spread(values)} {scene.unit}{late}"])
    title = f"{scene.title} ({scene.unit}; {'more' if scene.more else 'less'} is better; first: how many times better homeroom is)"
    return [title, *columns(rows)]


def text(found: Found, scenes: list, peers: list, versions: dict, conditions: dict) -> str:
    """The whole."""
    lines = [f"compare: {conditions['at']}, commit {conditions['commit']}", "", *ratios(found, scenes, peers), ""]
    for scene in scenes:
        for verdict in judge(found, scene, peers):
            median, least, most = (shown(verdict[name]) for name in ("median", "min", "max"))
            holds = "yes" if verdict["holds"] else "NO"
            late = "" if found.kept[scene.name, OURS] else ", the rate not kept"
            lines.append(f"{scene.name}: {median} x {verdict['against']} ({least} to {most}){late}, wanted >= {verdict['least']}: {holds}")
        lines += unjudged(found, scene, peers)
    for scene in scenes:
        lines += ["", *scene_lines(found, scene, peers)]
    lines += ["", *(f"{peer}: {version}" for peer, version in versions.items()), ""]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in conditions.items())]) + "\n"


WIDTH, LABEL, ROW, HEAD, ROOM = 760, 130, 30, 64, 150
OTHER = "#4a77a8"
TONES = {OURS: "#2f7d4f", LIMIT: "#9aa5b1"}


def plot(found: Found, scene: Scene, peers: list) -> str:
    """One scene: a bar for each peer's median, and a line from the least to the most."""
    known = [peer for peer in peers if found.of(scene, peer)]
    most = max((max(found.of(scene, peer)) for peer in known), default=0) or 1
    scale = (WIDTH - LABEL - ROOM) / most
    rows = []
    for place, peer in enumerate(known):
        values, top = found.of(scene, peer), HEAD + place * ROW
        median, middle = statistics.median(values), top + ROW / 2
        least, greatest = (max(0, value) * scale + LABEL for value in (min(values), max(values)))
        late = "" if found.kept[scene.name, peer] else ", rate not kept"
        rows.append(
            f'<text x="{LABEL - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(peer)}</text>'
            f'<rect x="{LABEL}" y="{top + 5}" width="{max(median, 0) * scale:.1f}" height="{ROW - 10}" fill="{TONES.get(peer, OTHER)}"/>'
            f'<line x1="{least:.1f}" x2="{greatest:.1f}" y1="{middle:.1f}" y2="{middle:.1f}" class="spread"/>'
            f'<text x="{greatest + 8:.1f}" y="{middle + 4:.1f}">{shown(median)}{late}</text>'
        )
    height = HEAD + len(known) * ROW + 16
    better = "more is better" if scene.more else "less is better"
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(scene.title)}">
<style>
text {{ font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #1d2733; }} .title {{ font-size: 16px; font-weight: 600; }}
.note {{ fill: #5a6775; }} .spread {{ stroke: #1d2733; stroke-width: 2; }}
</style>
<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>
<text class="title" x="16" y="26">{escape(scene.title)}</text>
<text class="note" x="16" y="46">{escape(scene.unit)}, {better}; bar: median, line: least to most</text>
{chr(10).join(rows)}
</svg>
"""
