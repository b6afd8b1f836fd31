"""Pieces of HTML and SVG, and numbers as a person reads them; every text is escaped here, in one place."""

import html
from collections.abc import Iterable, Sequence
from typing import NewType

from attrs import frozen

Html = NewType("Html", str)

_LONG_S = 120
_HOUR_S = 3600
_SHORTEST_S = 1e-9
_MILLION = 1e6
_TOO_LONG = 1e12


@frozen
class Column:
    """A column of a table."""

    title: str
    is_number: bool = False
    """Whether its cells are right-aligned."""


def escaped(text: str) -> Html:
    """Return a text that is safe in HTML, within a tag's quotes too."""
    whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written to a file
    return Html(html.escape(whole))


def element(name: str, *inner: Html, **attributes: str | float) -> Html:
    """Return an element; in an attribute's name ``_`` becomes ``-``, and one at the end is dropped."""
    listed = "".join(
        f' {key.removesuffix("_").replace("_", "-")}="{_attribute(value)}"' for key, value in attributes.items()
    )
    return Html(f"<{name}{listed}>{''.join(inner)}</{name}>")


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Html:
    """Return a table with a caption, in a box that scrolls sideways; a row's first cell is its header."""
    head = element("tr", *(_cell("th", column, column.title, scope="col") for column in columns))
    body = (element("tr", *_cells(columns, row)) for row in rows)
    whole = element(
        "table",
        element("caption", escaped(caption)),
        element("thead", head),
        element("tbody", *body),
    )
    # The box takes the focus, so that it can be scrolled from the keyboard too.
    return element("div", whole, class_="wide", role="region", aria_label=caption, tabindex="0")


def details(summary: str, *inner: Html) -> Html:
    """Return a section that the reader can open."""
    return element("details", element("summary", escaped(summary)), *inner)


def figure(caption: str, drawing: Html) -> Html:
    """Return a drawing with its caption above it."""
    return element("figure", element("figcaption", escaped(caption)), drawing)


def counted(count: int, thing: str) -> str:
    """Return ``1 row``, ``2,000 rows``."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def amount(value: float) -> str:
    """Return a number of an axis: ``0.5``, ``2,000``, ``1.5 M``."""
    if abs(value) < _MILLION:
        return f"{value:,.10g}"
    return f"{value / _MILLION:,.10g} M" if abs(value) < _TOO_LONG else f"{value:.3g}"


def rate(count: int, seconds: float) -> str:
    """Return a rate per second, to three digits."""
    per_s = count / seconds if seconds > _SHORTEST_S else 0.0
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"  # noqa: PLR2004 - three digits


def duration(seconds: float) -> str:
    """Return how long something took: ``0.25 s``, ``45 s``, ``12 min 3 s``, ``3 h 0 min``."""
    if seconds < _LONG_S:
        return f"{seconds:.3g} s"
    minutes, rest_s = divmod(round(seconds), 60)
    return f"{minutes} min {rest_s} s" if seconds < _HOUR_S else f"{minutes // 60} h {minutes % 60} min"


def latency(seconds: float | None) -> str:
    """Return how long a request took, to three digits; ``n/a`` if unknown."""
    if seconds is None:
        return "n/a"
    return duration(seconds) if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _attribute(value: str | float) -> str:
    return escaped(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")


def _cells(columns: Sequence[Column], row: Sequence[str]) -> Iterable[Html]:
    for at, (column, text) in enumerate(zip(columns, row, strict=True)):
        yield _cell("td", column, text) if at else _cell("th", column, text, scope="row")


def _cell(name: str, column: Column, text: str, **attributes: str) -> Html:
    if column.is_number:
        attributes["class_"] = "number"
    return element(name, escaped(text), **attributes)
