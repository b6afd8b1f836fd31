"""Draws the picture of the results: requests per CPU second, a bar for each client. Written as SVG by hand."""

from collections.abc import Iterable, Sequence
from html import escape

from figures import RATE, TIMES, Figure

OURS = "spotdx_async"
_CONCURRENCY = 10
_RATE = RATE.format(title="", concurrency=_CONCURRENCY)
_LEFT, _TOP, _WIDTH, _BAR, _STEP = 250, 78, 330, 26, 40
_STYLE = """
text { font: 15px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 19px; font-weight: 600 }
.quiet { fill: #59636e }
.ours { font-weight: 600 }
rect { fill: #afb8c1 }
rect.ours { fill: #1f6feb }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  rect { fill: #656c76 }
  rect.ours { fill: #4493f8 }
}
"""


def bars_of(figures: Iterable[Figure]) -> list[Figure]:
    """Pick the figures of the bars, the longest first."""
    found = [one for one in figures if one.name.startswith(_RATE)]
    return sorted(found, key=lambda one: -(one.value or 0))


def chart(figures: Sequence[Figure]) -> str:
    """Draw the bars. A client that could not be measured has a row that says so."""
    bars = bars_of(figures)
    longest = max((one.value or 0 for one in bars), default=0) or 1
    times = {one.name: one.value for one in figures}
    height = _TOP + _STEP * len(bars) + 8
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 {height}" role="img">'
        f"<title>Requests per CPU second</title><style>{_STYLE}</style>"
        '<text class="title" x="16" y="30">Requests that one second of CPU carries</text>'
        '<text class="quiet" x="16" y="54">kit updates, ten at once; longer is better</text>'
    )
    rows = []
    for place, bar in enumerate(bars):
        title = bar.name.removeprefix(_RATE)
        fewer = times.get(TIMES.format(title=title, concurrency=_CONCURRENCY))
        rows.append(row(bar, title, _TOP + _STEP * place, longest, fewer))
    return "\n".join([head, *rows, "</svg>"]) + "\n"


def row(bar: Figure, title: str, y: float, longest: float, fewer: float | None) -> str:
    """Draw one client's bar with its name and its figure.

    Args:
        bar: what was measured.
        title: the client's name.
        y: where the row begins.
        longest: the figure of the longest bar.
        fewer: how many times as many requests ours carries, where that is known.
    """
    base = y + _BAR / 2 + 5
    kind = ' class="ours"' if title == OURS else ""
    name = f'<text{kind} x="{_LEFT - 12}" y="{base:g}" text-anchor="end">{escape(title)}</text>'
    if bar.value is None:
        return f'{name}<text class="quiet" x="{_LEFT}" y="{base:g}">not measured: {escape(bar.note)}</text>'
    width = max(1.0, _WIDTH * bar.value / longest)
    words = f"{bar.value:,.0f}"
    if fewer is not None and fewer > 1:
        words += f" · ours carries {fewer:.1f} times as many"
    return (
        f'{name}<rect{kind} x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3"/>'
        f'<text{kind} x="{_LEFT + width + 10:.1f}" y="{base:g}">{words}</text>'
    )
