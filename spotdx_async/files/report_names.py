"""Names for the files of reports: safe on every file system, and no two alike."""

import hashlib
from typing import Final
from urllib.parse import quote

_LONGEST_ID: Final = 80
"""Characters of an id in a name: two of them, and what stands between, stay below the 255 that file systems take."""


def name_of_report(object_id: str, report_id: str | None, place: int) -> str:
    """Return a name that no other report has, without a suffix.

    Args:
        object_id: the id of the kit, or of the requisition.
        report_id: the report's; None if it has none of its own: it is then named after its position.
        place: its position among the object's reports, from 0.
    """
    of_report = f"report{place + 1}" if report_id is None else _safe(report_id)
    return f"{_safe(object_id).replace('-', '%2D')}-{of_report}"


def _safe(an_id: str) -> str:
    """Return an id so that it is a part of a name on every file system, and no two ids become the same."""
    safe = quote(an_id, safe="", errors="surrogatepass")  # JSON may hold half of a surrogate pair
    if safe.startswith("."):  # hidden, or one of the folders themselves
        safe = f"%2E{safe[1:]}"
    if len(safe) <= _LONGEST_ID:
        return safe
    return f"{safe[: _LONGEST_ID // 2]}%{hashlib.sha256(an_id.encode(errors='surrogatepass')).hexdigest()[:24]}"
