"""Draws what a soak measured: a small chart for each series, one below the other, over the hours."""

from xml.sax.saxutils import escape

import plot

WIDTH, EACH, LEFT, RIGHT, TOP = 720, 96, 86, 24, 44


def chart(top: float, what: str, unit: str, points: list, until: float, warm: float) -> list:
    """One series of (minutes, value), from 0 upward."""
    most = max((value for _, value in points), default=0) * 1.15 or 1
    base = top + EACH - 26

    def across(minutes: float) -> float:
        return LEFT + minutes / until * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return base - value / most * (EACH - 44)

    places = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
    return [
        f'<rect x="{LEFT}" y="{top + 18:.0f}" width="{across(warm) - LEFT:.1f}" height="{EACH - 44}" fill="#f1f4f6"/>',
        f'<text x="{LEFT}" y="{top + 12:.0f}">{escape(what)}, {escape(unit)}</text>',
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(most / 1.15):.1f}" y2="{up(most / 1.15):.1f}"/>',
        f'<text x="{LEFT - 8}" y="{up(most / 1.15) + 4:.1f}" text-anchor="end">{plot.short(most / 1.15)}</text>',
        f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base:.1f}" y2="{base:.1f}"/>',
        f'<text x="{LEFT - 8}" y="{base + 4:.1f}" text-anchor="end">0</text>',
        f'<polyline class="measured" points="{places}"/>',
        *(f'<circle class="point" cx="{across(x):.1f}" cy="{up(y):.1f}" r="2"/>' for x, y in points),
    ]


def draw(title: str, series: list, warm: float) -> str:
    """`series`: (what, unit, points); `warm`: minutes that are not judged, on grey."""
    until = max((x for _, _, points in series for x, _ in points), default=1) or 1
    height = TOP + EACH * len(series) + 20
    parts = [line for place, one in enumerate(series) for line in chart(TOP + EACH * place, *one, until, warm)]
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" \
aria-label="{escape(title)}">
<style>{plot.STYLE}</style>
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text class="title" x="{LEFT}" y="24">{escape(title)}</text>
{chr(10).join(parts)}
<text x="{LEFT}" y="{height - 10}">0</text>
<text x="{WIDTH - RIGHT}" y="{height - 10}" text-anchor="end">{until:.0f} minutes</text>
</svg>
"""
