"""Rows and FHIR resources: what they take and what they give. Checked, never run."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, assert_type

from spotdx_async import Kit, KitSummary, Order, Requisition
from spotdx_async.fhir import UNITS, Codes, bundle, resources
from spotdx_async.tables import TABLES, Column, Row, Table, kit_rows, order_rows, requisition_rows, result_rows

CODES: Codes = {
    ("HDL", "mg/dL"): {"system": "http://loinc.org", "code": "2085-9"},
    ("rs1234567", None): [{"code": "1"}, {"code": "2"}],
}


def make_rows(kit: Kit, order: Order, requisition: Requisition, summary: KitSummary) -> None:
    assert_type(kit_rows(kit), dict[str, list[Row]])
    assert_type(kit_rows(kit, summary=summary, phi=True), dict[str, list[Row]])
    assert_type(order_rows(order, phi=False), dict[str, list[Row]])
    assert_type(requisition_rows(requisition, pseudonym=lambda patient_id: patient_id[::-1]), dict[str, list[Row]])
    for of in (kit, requisition):
        for row in result_rows(of):
            assert_type(row["value"], str | int | float | bool | datetime | date | None)


def make_columns() -> Iterator[str]:
    assert_type(TABLES, Mapping[str, Table])
    for table in TABLES.values():
        assert_type(table.primary_key, tuple[str, ...])
        for column in table.columns:
            assert_type(column, Column)
            yield f"{column.name} {column.type}" + ("" if column.nullable else " NOT NULL")


def make_resources(kit: Kit, requisition: Requisition) -> None:
    assert_type(bundle(kit), dict[str, Any])
    assert_type(bundle(requisition, codes=CODES, phi=True, links=True), dict[str, Any])
    assert_type(resources(kit, codes={("HDL", None): {"code": "1"}}, pseudonym=str.upper), Iterator[dict[str, Any]])
    assert_type(UNITS["mg/dL"], str)
