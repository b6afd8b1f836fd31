"""Parts of a chart as SVG that fits any width: panels, grids, axes, steps and lines, and the chart around them.

Horizontally, everything is placed in percentages, so that texts keep their size on a phone and on paper; vertically, in
pixels. Only paths are stretched.
"""

from collections.abc import Sequence

from attrs import frozen

from spotdx_async.report.markup import Html, amount, element, escaped
from spotdx_async.report.scales import Scale

LINE_HEIGHT = 18
"""Pixels from one line of text to the next."""
AXIS_HEIGHT = 44
"""Pixels below a plot for the labels and the title of its horizontal axis."""
_STRETCH = 1000
"""Width of a stretched path in units: whole ones are finer than pixels, and short to write."""
_HALF_A_LINE = "0.35em"


@frozen
class Panel:
    """A plot with its own vertical scale, and a heading that says what it shows and in which unit."""

    heading: str
    scale: Scale
    height: int
    """Of the plot, without the heading."""
    marks: Html
    unit: float = 1.0
    """How much of the scale equals one unit of the heading."""

    @property
    def whole_height(self) -> int:
        """The height with the heading."""
        return self.height + LINE_HEIGHT + 18

    def drawn(self) -> Html:
        """Return the panel, from its own top."""
        lines = []
        for tick in self.scale.ticks:
            y = self.height * (1 - self.scale.share(tick))
            lines.append(element("line", x1=0, x2="100%", y1=y, y2=y, class_="axis" if y == self.height else "grid"))
            lines.append(text(amount(tick / self.unit), "0%", y, dx=-8, dy=_HALF_A_LINE, text_anchor="end"))
        plot = placed(self.whole_height - self.height, self.height, *lines, self.marks)
        return joined((text(self.heading, "0%", LINE_HEIGHT + 4, dx=-46, class_="heading"), plot))


def drawing(name: str, title: str, says: str, height: float, *inner: Html) -> Html:
    """Return a whole chart, with its title and a description in words for those who do not see it."""
    return element(
        "svg",
        element("title", escaped(title), id=f"{name}-title"),
        element("desc", escaped(says), id=f"{name}-desc"),
        # Else screen readers read out hundreds of hints; the description and the table say it better.
        element("g", *inner, aria_hidden="true"),
        id=f"chart-{name}",
        class_="chart",
        role="img",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
        width="100%",
        height=height,
    )


def joined(pieces: Sequence[Html]) -> Html:
    """Return parts one after the other."""
    return Html("".join(pieces))


def percent(share: float) -> str:
    """Return a horizontal position, from 0 to 1, as SVG writes it."""
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


def placed(top: float, height: float, *inner: Html) -> Html:
    """Return parts positioned relative to their own top, as wide as the chart."""
    return element("svg", *inner, y=top, width="100%", height=height)


def text(words: str, x: str, y: float, **attributes: str | float) -> Html:
    """Return a line of text."""
    return element("text", escaped(words), x=x, y=y, **attributes)


def rectangle(left: float, right: float, top: float, height: float, hint: str, **attributes: str | float) -> Html:
    """Return a rectangle from one share of the width to another; its hint shows under the pointer."""
    title = element("title", escaped(hint))
    return element(
        "rect", title, x=percent(left), width=percent(right - left), y=top, height=height, **attributes
    )  # fmt: skip


def pattern(name: str, colour: str, hatch: str) -> Html:
    """Return a fill of a colour (a class of the style sheet) with lines over it, which works without colours too."""
    inner = [element("rect", width=8, height=8, class_=colour)]
    if hatch:
        inner.append(element("path", d=hatch, class_="hatch"))
    return element("pattern", *inner, id=name, width=8, height=8, patternUnits="userSpaceOnUse")


def x_axis(scale: Scale, title: str, top: float, unit: float = 1.0) -> Html:
    """Return labels and title of the horizontal axis; narrow pages omit every other label."""
    marks = []
    for at, tick in enumerate(scale.ticks):
        x = percent(scale.share(tick))
        spare = {"class_": "spare"} if at % 2 else {}
        marks.append(element("line", x1=x, x2=x, y1=0, y2=5, class_="axis"))
        marks.append(text(amount(tick / unit), x, LINE_HEIGHT, text_anchor="middle", **spare))
    marks.append(text(title, "50%", 2 * LINE_HEIGHT + 2, text_anchor="middle", class_="heading"))
    return placed(top, AXIS_HEIGHT, element("line", x1=0, x2="100%", y1=0, y2=0, class_="axis"), *marks)


def steps(edges: Sequence[float], values: Sequence[float], scale: Scale, height: float, colour: str) -> Html:
    """Return the area under steps.

    Args:
        edges: where steps begin and end, as shares of the width; one more than values.
        values: how high each is.
        scale: of the values.
        height: of the plot.
        colour: a class of the style sheet.
    """
    path = [f"M0 {height}"]
    for edge, value in zip(edges[1:], values, strict=True):
        path.append(f"V{_short(height * (1 - scale.share(value)))}H{_short(_STRETCH * edge)}")
    return _stretched(height, "".join([*path, f"V{height}Z"]), f"area {colour}")


def line(places: Sequence[float], values: Sequence[float | None], scale: Scale, height: float, name: str) -> list[Html]:
    """Return a line through values, interrupted where there is none; an isolated value is a dot."""
    points = [
        None if value is None else (_STRETCH * place, height * (1 - scale.share(value)))
        for place, value in zip(places, values, strict=True)
    ]
    path, pieces = [], []
    for before, point, after in zip([None, *points], points, [*points[1:], None], strict=False):
        if point is None:
            continue
        x, y = point
        if before is None and after is None:
            pieces.append(element("circle", cx=percent(x / _STRETCH), cy=y, r=3, class_=f"dot {name}"))
        else:
            path.append(f"{'M' if before is None else 'L'}{_short(x)} {_short(y)}")
    return [_stretched(height, "".join(path), f"line {name}"), *pieces] if path else pieces


def _stretched(height: float, path: str, class_: str) -> Html:
    inner = element("path", d=path, class_=class_)
    box = f"0 0 {_STRETCH} {_short(height)}"
    return element("svg", inner, width="100%", height=height, viewBox=box, preserveAspectRatio="none")


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
