"""Small Excel workbooks, written by hand: as other programs write them, and as none does."""

import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="164" formatCode="[h]:mm"/></numFmts>'
    '<fonts count="1"><font/></fonts><fills count="1"><fill/></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="5"><xf numFmtId="0"/><xf numFmtId="14"/>'
    '<xf numFmtId="22"/><xf numFmtId="21"/><xf numFmtId="164"/></cellXfs></styleSheet>'
)
DATE, DATE_AND_TIME, TIME, DURATION = 1, 2, 3, 4
"""Styles of numbers."""


class Cell(str):
    """The XML of a cell behind its place, such as ``t="e"><v>#N/A</v>``."""

    __slots__ = ()


def number(value: float, style: int) -> Cell:
    """A number that is shown in a style."""
    return Cell(f's="{style}"><v>{value!r}</v>')


def workbook(
    *sheets: Sequence[Sequence[object]],
    merged: Sequence[str] = (),
    names: Sequence[str] = (),
    hidden: Sequence[int] = (),
    more: dict[str, str] | None = None,
    top: int = 1,
    before: str = "",
) -> bytes:
    """A workbook; None is a cell that is not there.

    Args:
        sheets: their rows.
        merged: ranges of each sheet, such as ``A1:B2``.
        names: of the sheets.
        hidden: which sheets are hidden, from 0.
        more: parts in place of its own, or beside them.
        top: the row of the sheets with which they begin.
        before: XML in front of each sheet.
    """
    entries, relations = "", ""
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/styles.xml": _STYLES,
    }
    for index, rows in enumerate(sheets):
        name = names[index] if names else f"Sheet{index + 1}"
        state = ' state="hidden"' if index in hidden else ""
        entries += f'<sheet name="{name}" sheetId="{index + 1}"{state} r:id="rId{index + 1}"/>'
        target = f"worksheets/sheet{index + 1}.xml"
        relations += f'<Relationship Id="rId{index + 1}" Type="{_RELATIONS}/worksheet" Target="{target}"/>'
        ranges = "".join(f'<mergeCell ref="{each}"/>' for each in merged)
        parts[f"xl/worksheets/sheet{index + 1}.xml"] = (
            f'{before}<worksheet xmlns="{_MAIN}"><sheetData>{_rows(rows, top)}</sheetData>'
            f"{f'<mergeCells>{ranges}</mergeCells>' if ranges else ''}</worksheet>"
        )
    styles = f'<Relationship Id="rId99" Type="{_RELATIONS}/styles" Target="styles.xml"/>'
    parts["xl/_rels/workbook.xml.rels"] = (
        f'<Relationships xmlns="{_PACKAGE}/relationships">{relations}{styles}</Relationships>'
    )
    parts["xl/workbook.xml"] = f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{entries}</sheets></workbook>'
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**parts, **(more or {})}.items():
            archive.writestr(name, text)
    return packed.getvalue()


def _rows(rows: Sequence[Sequence[object]], top: int) -> str:
    return "".join(
        f'<row r="{line}">{"".join(_cell(f"{chr(65 + at)}{line}", value) for at, value in enumerate(row))}</row>'
        for line, row in enumerate(rows, start=top)
    )


def _cell(place: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Cell):
        return f'<c r="{place}" {value}</c>'
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{value:d}</v></c>'
    if isinstance(value, (int, float)):
        return f'<c r="{place}"><v>{value!r}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'
