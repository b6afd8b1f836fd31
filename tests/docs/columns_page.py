"""Prints the columns of every table as they stand in docs/reference/tables.md: ``python -m tests.docs.columns_page``.

With ``--write`` it writes them there, after the line that says so.
"""

import sys
from collections.abc import Iterator
from typing import Final

from spotdx_async.mirror.schema import PULLS
from spotdx_async.tables import TABLES, Column, Table
from tests.docs.pages import DOCS

PAGE: Final = DOCS / "reference" / "tables.md"
MARK: Final = "<!-- made from TABLES by `make columns`: do not edit what follows -->\n"


def sections() -> str:
    """Return a section for every table, with a row for every column."""
    tables = (*TABLES.values(), PULLS)
    return "".join(f"\n{line}" if line.startswith("#") else line for table in tables for line in _lines(table))


def _lines(table: Table) -> Iterator[str]:
    yield f"### {table.name}\n\n"
    yield f"{_markdown(table.doc)} Key: {_names(table.primary_key)}."
    yield f" Indexes: {'; '.join(map(_names, table.indexes))}.\n\n" if table.indexes else "\n\n"
    yield "| column | type | holds |\n|---|---|---|\n"
    for column in table.columns:
        yield f"| `{column.name}` | {_type(column)} | {_markdown(column.doc)} |\n"


def _type(column: Column) -> str:
    words = [column.type, *([] if column.nullable else ["not null"]), *(["**phi**"] if column.is_phi else [])]
    return ", ".join(words)


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def page() -> str:
    """Return the whole page as it should be."""
    written, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return written + mark + sections()


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(sections())
