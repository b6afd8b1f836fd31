"""Tables: of fields and of rows, laid out for people on a terminal, as tab-separated values in a pipe.

Nothing is cut. An id also stays on one line, so that it can be copied: other columns give way to it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest

from rich.cells import cell_len, chop_cells

from spotdx_async.cli.output import Streams, visible

__all__ = ["RowsTable", "escaped", "is_id", "show_fields", "show_rows", "widths_within"]

_INDENT, _GAP = " ", "  "
_WIDE_INDENT, _WIDE_GAP = "  ", "   "
_LEAST = 8
"""The narrowest that a column gets which gives way: a date needs ten cells, a time of day eight."""


def escaped(text: str) -> str:
    r"""Return a text as one cell of tab-separated values.

    A tab is ``\t``, a line break ``\n`` or ``\r``, a backslash two of them; other characters that control a terminal
    are ``\x1b`` and the like.
    """
    return visible(text.replace("\\", "\\\\"))


def is_id(column: str) -> bool:
    """Return whether a column holds ids, which people copy."""
    name = column.rpartition(".")[2]
    return name.endswith("_id") or name == "barcode"


def widths_within(natural: Sequence[int], *, firm: Sequence[bool], room: int) -> list[int] | None:
    """Return how wide each column gets; None if they do not fit side by side.

    Args:
        natural: how wide each would have to be to hold its cells on one line.
        firm: which of them must get that.
        room: what they share.
    """
    widths, excess = [*natural], sum(natural) - room
    while excess > 0:
        soft = [index for index, width in enumerate(widths) if not firm[index] and width > _LEAST]
        if not soft:
            return None
        widths[max(soft, key=lambda index: widths[index])] -= 1
        excess -= 1
    return widths


class RowsTable:
    """Rows under the same columns, written a few at a time; the widths are those of the first few."""

    def __init__(self, streams: Streams, columns: Sequence[str], *, is_firm: Callable[[str], bool] = is_id) -> None:
        self._streams = streams
        self._columns = columns
        self._firm = [is_firm(column) for column in columns]
        self._widths: list[int] | None = None
        self._has_begun = False

    def write(self, rows: Sequence[Sequence[str]]) -> None:
        """Write some rows, beneath a header where one is needed."""
        if not self._streams.is_for_people:
            table = rows if self._has_begun else [self._columns, *rows]
            self._streams.out.write_raw("".join("\t".join(map(escaped, row)) + "\n" for row in table))
        else:
            self._lay_out([[visible(cell) for cell in row] for row in rows])
        self._has_begun = True

    def close(self) -> None:
        """Write what is missing: a header if there was no row, an empty line below a table on a terminal."""
        if not self._has_begun:
            self.write([])
        if self._streams.is_for_people:
            self._streams.put("")

    def _lay_out(self, rows: Sequence[Sequence[str]]) -> None:
        natural = [max(map(cell_len, cells)) for cells in zip(self._columns, *rows, strict=True)]
        room = self._streams.out.width - len(_INDENT) - len(_GAP) * (len(natural) - 1)
        if self._widths is None or not self._hold(natural, self._widths):
            self._widths = widths_within(natural, firm=self._firm, room=room)
            if self._widths is not None:
                self._streams.put(*_header(self._columns, self._widths))
        if self._widths is not None:
            for row in rows:
                self._streams.put("\n".join(_lines(row, self._widths)))
            return
        for row in rows:
            show_fields(dict(zip(self._columns, row, strict=True)), self._streams)

    def _hold(self, natural: Sequence[int], widths: Sequence[int]) -> bool:
        """Return whether the widths of earlier rows hold the ids of these too."""
        return all(not firm or need <= width for need, width, firm in zip(natural, widths, self._firm, strict=True))


def show_rows(
    streams: Streams,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    is_firm: Callable[[str], bool] = is_id,
) -> None:
    """Write a whole table of rows."""
    table = RowsTable(streams, columns, is_firm=is_firm)
    table.write(rows)
    table.close()


def show_fields(fields: Mapping[str, str], streams: Streams) -> None:
    """Write a line for each field, none of them broken; on a terminal beneath an empty line."""
    widest = max(map(cell_len, fields), default=0)
    lines: list[str | tuple[str, str]] = ["\n" if streams.is_for_people else ""]
    for number, (name, value) in enumerate(fields.items()):
        lines.append("\n" if number else "")
        shown = visible(name)
        lines.append((f"{_WIDE_INDENT}{_padded(shown, widest) if value else shown}", "bold"))
        lines.append(f"{_WIDE_GAP}{visible(value)}" if value else "")
    streams.put(*lines)


def _header(columns: Sequence[str], widths: Sequence[int]) -> Iterator[str | tuple[str, str]]:
    yield "\n"
    yield "\n".join(_lines(columns, widths)), "bold"
    yield "\n" + _INDENT + "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))


def _lines(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Yield the lines of one row."""
    pieces = (_folded(cell, width) for cell, width in zip(cells, widths, strict=True))
    for line in zip_longest(*pieces, fillvalue=""):
        padded = (_padded(piece, width) for piece, width in zip(line, widths, strict=True))
        yield f"{_INDENT}{_GAP.join(padded)}".rstrip()


def _folded(cell: str, width: int) -> list[str]:
    """Return the lines of a cell: broken between words, and within one that is wider than the column."""
    lines, line = [], ""
    for word in cell.split(" "):
        longer = f"{line} {word}" if line else word
        if cell_len(longer) <= width:
            line = longer
            continue
        lines += [line] if line else []
        *whole, line = chop_cells(word, width) or [""]
        lines += whole
    return [*lines, line]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
