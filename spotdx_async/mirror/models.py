"""Kits and requisitions made again of a mirror's rows, as far as their rows tell."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from spotdx_async._codec.codec import loads
from spotdx_async._codec.json import NotJsonError, parse_exact
from spotdx_async.fhir.elements import decimal
from spotdx_async.mirror.store import MirrorFile
from spotdx_async.models import Kit, Requisition
from spotdx_async.tables import TABLES

__all__ = ["stored_objects"]

_PERSON = ("patient_id", "first_name", "last_name", "date_of_birth", "sex", "email", "phone")
_ADDRESS = ("street1", "street2", "city", "state", "country", "zip")
_REPORT = ("report_id", "is_amendment", "date_collected", "date_received", "date_resulted", "pdf", "txt")


def stored_objects(file: MirrorFile, database: Any, since: date | None) -> Iterator[Kit | Requisition]:
    """Yield every kit, then every requisition, each in the order of its id.

    Without patient data they have none, and their ``patient_id`` is its pseudonym. What makes no difference to a FHIR
    resource (parcels, events, unknown fields) is left out.
    """
    for row in _dicts(file.rows(database, TABLES["kits"], since), file, "kits"):
        yield loads(_text(_kit(file, database, row)), Kit)
    for row in _dicts(file.rows(database, TABLES["requisitions"], since), file, "requisitions"):
        yield loads(_text(_requisition(file, database, row)), Requisition)


def _kit(file: MirrorFile, database: Any, row: dict[str, Any]) -> dict[str, Any]:
    kit_id = row["kit_id"]
    kit: dict[str, Any] = {
        "kit_id": kit_id,
        "type": row["type"],
        "status": row["status"],
        "registered_to": _some(row, _PERSON),
    }
    for sample in _of(file, database, "samples", kit_id):
        kit["sample"] = {
            "sample_id": sample["sample_id"],
            "status": sample["status"],
            "type": sample["type"],
            "panels": json.loads(sample["panels"] or "[]"),
            "reports": _reports(file, database, "kit", kit_id),
        }
    return kit


def _requisition(file: MirrorFile, database: Any, row: dict[str, Any]) -> dict[str, Any]:
    requisition_id = row["requisition_id"]
    patient: dict[str, Any] | None = _some(row, _PERSON)
    address = _some(row, _ADDRESS)
    if address is not None:
        patient = {**(patient or {}), "address": address}
    return {
        **{name: row[name] for name in ("requisition_id", "barcode", "account_number", "lab", "status")},
        "panels": json.loads(row["panels"] or "[]"),
        "patient": patient,
        "created": row["created"],
        "updated": row["updated"],
        "reports": _reports(file, database, "requisition", requisition_id),
    }


def _reports(file: MirrorFile, database: Any, source: str, source_id: str) -> list[dict[str, Any] | None]:
    """Return the reports at the positions that they had, null where there was none: ids are made of positions."""
    table = "reports" if source == "kit" else "requisition_reports"
    found = {row["seq"]: row for row in _of(file, database, table, source_id)}
    results: dict[int, list[dict[str, Any]]] = {}
    for row in _of(file, database, "results", source, source_id):
        results.setdefault(row["report_seq"], []).append(_result(row))
    return [
        {**{name: found[seq].get(name) for name in _REPORT}, "results": results.get(seq, [])} if seq in found else None
        for seq in range(max(found, default=-1) + 1)
    ]


def _result(row: dict[str, Any]) -> dict[str, Any]:
    low, high = _limit(row["low"], row.get("low_text")), _limit(row["high"], row.get("high_text"))
    if row["flag"] is None:
        # An end that is not stored may have been text, for which there is no flag: it must not become none, and set no
        # limit.
        low, high = ("" if end is None else end for end in (low, high))
    return {
        "result_type": row["result_type"],
        "name": row["name"],
        "time_collected": row["time_collected"],
        "result": row["value_text"] if row["value"] is None else _number(row["value_text"]),
        "unit_of_measure": row["unit"],
        "range_minimum": low,
        "range_maximum": high,
        "comments": row.get("comments"),
    }


def _number(text: str) -> Any:
    """Return what is surely a number as that; a text such as ``.5``, which JSON would not write so, stays one."""
    try:
        return parse_exact(text.strip().encode())
    except NotJsonError:
        return text


def _limit(number: float | None, text: str | None) -> float | int | str | None:
    if number is None:
        return text
    found: float | int = decimal(None, number)
    return found


def _some(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any] | None:
    found = {name: row[name] for name in names if row.get(name) is not None}
    return found or None


def _of(file: MirrorFile, database: Any, name: str, *owner: str) -> Iterator[dict[str, Any]]:
    return _dicts(file.rows_of(database, TABLES[name], owner), file, name)


def _dicts(rows: Iterator[tuple[Any, ...]], file: MirrorFile, name: str) -> Iterator[dict[str, Any]]:
    table = TABLES[name]
    names = table.names if file.phi else table.safe_names
    flags = [column.name for column in table.columns if column.type == "boolean" and column.name in names]
    for row in rows:
        cells = dict(zip(names, row, strict=True))
        yield {**cells, **{flag: None if cells[flag] is None else bool(cells[flag]) for flag in flags}}


def _text(value: Any) -> str:
    return json.dumps(value)
