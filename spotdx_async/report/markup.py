"""Pieces of HTML; every text that comes in is escaped here, in one place."""

import html
from collections.abc import Iterable, Sequence
from typing import NewType

from attrs import frozen

__all__ = ["Column", "Html", "chart", "details", "element", "escaped", "table"]

Html = NewType("Html", str)


@frozen
class Column:
    """A column of a table."""

    title: str
    is_number: bool = False
    """Whether its cells are set to the right."""


def escaped(text: str) -> Html:
    """Make a text safe to stand in HTML, within a tag's quotes too."""
    whole = text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written to a file
    return Html(html.escape(whole))


def element(name: str, *inner: Html, **attributes: str) -> Html:
    """Make an element; an attribute's ``_`` stands for ``-``, and one at its end is left out."""
    listed = "".join(
        f' {key.removesuffix("_").replace("_", "-")}="{escaped(value)}"' for key, value in attributes.items()
    )
    return Html(f"<{name}{listed}>{''.join(inner)}</{name}>")


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Html:
    """Make a table with a caption, in a box that can be scrolled sideways; a row's first cell heads it."""
    head = element("tr", *(_cell("th", column, column.title, scope="col") for column in columns))
    body = (element("tr", *_cells(columns, row)) for row in rows)
    whole = element(
        "table",
        element("caption", escaped(caption)),
        element("thead", head),
        element("tbody", *body),
    )
    # The box takes the keyboard, so that it can be scrolled without a mouse too.
    return element("div", whole, class_="wide", role="region", aria_label=caption, tabindex="0")


def details(summary: str, inner: Html) -> Html:
    """Make what a person opens to see more."""
    return element("details", element("summary", escaped(summary)), inner)


def chart(name: str, caption: str, says: str) -> Html:
    """Make the place of a chart, with what it shows in words for those who do not see it."""
    place = element("div", id=f"chart-{name}", class_="chart", role="img", aria_label=f"Chart. {says}")
    return element("figure", element("figcaption", escaped(caption)), place)


def _cells(columns: Sequence[Column], row: Sequence[str]) -> Iterable[Html]:
    for at, (column, text) in enumerate(zip(columns, row, strict=True)):
        yield _cell("td", column, text) if at else _cell("th", column, text, scope="row")


def _cell(name: str, column: Column, text: str, **attributes: str) -> Html:
    if column.is_number:
        attributes["class_"] = "number"
    return element(name, escaped(text), **attributes)
