"""Draws how a cost grows as an SVG: what was measured, with its spread, and the line that was expected. Both axes are logarithmic."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 86, 24, 58, 64
STYLE = """text { font: 13px system-ui, sans-serif; fill: #32404e; } .title { font-size: 16px; font-weight: 600; }
.grid { stroke: #dfe5ea; } .axis { stroke: #8b97a5; } .expected { stroke: #b3541e; fill: none; stroke-dasharray: 7 5; stroke-width: 2; }
.measured { stroke: #1f6f8b; fill: none; stroke-width: 2; } .point { fill: #1f6f8b; } .spread { stroke: #1f6f8b; }"""


def short(number: float) -> str:
    """As an axis has it."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


class Axis:
    """From values to places on paper, by their logarithm."""

    def __init__(self, values: list, first: float, last: float):
        values = [value for value in values if value > 0] or [1]
        self.low, self.high = math.log10(min(values)), math.log10(max(values))
        # A flat line has half a decade of paper around it, so that noise does not look like growth.
        if self.high - self.low < 1:
            middle = (self.high + self.low) / 2
            self.low, self.high = middle - 0.5, middle + 0.5
        self.first, self.last = first, last

    def at(self, value: float) -> float:
        """The place."""
        share = (math.log10(max(value, 10**self.low)) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list:
        """Round values between the ends."""
        steps = (1, 2, 5) if self.high - self.low < 2.5 else (1,)
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        values = [step * 10.0**power for power in powers for step in steps]
        return [value for value in values if self.low - 1e-9 <= math.log10(value) <= self.high + 1e-9]


def line(style: str, across: Axis, up: Axis, points: list) -> str:
    """Through all points."""
    places = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in points)
    return f'<polyline class="{style}" points="{places}"/>'


def plot(title: str, across: str, up: str, measured: list, expected: list) -> str:
    """`measured`: (x, median, least, most); `expected`: (x, y)."""
    xs = [point[0] for point in measured] + [point[0] for point in expected]
    ys = [value for point in measured for value in point[1:]] + [point[1] for point in expected]
    horizontal, vertical = Axis(xs, LEFT, WIDTH - RIGHT), Axis(ys, HEIGHT - BOTTOM, TOP)
    parts = []
    for value in sorted({point[0] for point in measured}) if len(measured) <= 8 else horizontal.ticks():
        x = horizontal.at(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{short(value)}</text>')
    for value in vertical.ticks():
        y = vertical.at(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
    parts.append(line("expected", horizontal, vertical, expected))
    parts.append(line("measured", horizontal, vertical, [(x, median) for x, median, _, _ in measured]))
    for x, median, least, most in measured:
        place = horizontal.at(x)
        ends = f'y1="{vertical.at(least):.1f}" y2="{vertical.at(most):.1f}"'
        parts.append(f'<line class="spread" x1="{place:.1f}" x2="{place:.1f}" {ends}/>')
        parts.append(f'<circle class="point" cx="{place:.1f}" cy="{vertical.at(median):.1f}" r="4"/>')
    key = LEFT + 4
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" \
aria-label="{escape(title)}">
<style>{STYLE}</style>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text class="title" x="{LEFT}" y="24">{escape(title)}</text>
<line class="measured" x1="{key}" x2="{key + 26}" y1="42" y2="42"/><text x="{key + 32}" y="46">measured: median, least to most</text>
<line class="expected" x1="{key + 270}" x2="{key + 296}" y1="42" y2="42"/><text x="{key + 302}" y="46">expected</text>
{chr(10).join(parts)}
<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>
<line class="axis" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>
<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 16}" text-anchor="middle">{escape(across)}</text>
<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>
</svg>
"""
