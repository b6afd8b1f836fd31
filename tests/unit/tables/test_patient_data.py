"""Canaries in every field of patient data and in unknown fields: none in rows or bundles without ``phi``."""

import json
from collections.abc import Iterator
from itertools import chain, count
from typing import Any

import attrs
import pytest

from spotdx_async import Kit, Order, Requisition, dumps, loads
from spotdx_async.fhir import bundle, resources
from spotdx_async.models import Model, UnknownResult, phi_fields
from spotdx_async.tables import TABLES, kit_rows, order_rows, requisition_rows, result_rows

_NUMBER = count(10)
BORN = "1931-03-07"
NO_TIME = "canary9"  # a time that is none, which has no place in a column of times
# What the rows are for, which names nobody: the code of a panel, the biomarker, its unit and what was found.
KEPT = {"panels", "name", "result", "unit_of_measure"}


def canary(where: str) -> str:
    return f"canary{next(_NUMBER)} {where}"


def unknown(where: str) -> dict[str, Any]:
    """Unknown fields: a text, an object, and a name that is a canary itself."""
    return {
        "metadata": {"note": [canary(f"{where} metadata")]},
        "added_later": canary(f"{where} unknown"),
        canary(f"{where} key"): 1,
    }


def person(where: str) -> dict[str, Any]:
    names = ("patient_id", "first_name", "last_name", "email", "phone", "sex")
    return {**{name: canary(f"{where} {name}") for name in names}, "date_of_birth": BORN, **unknown(where)}


def address(where: str) -> dict[str, Any]:
    names = ("street1", "street2", "city", "state", "country", "zip")
    return {**{name: canary(f"{where} {name}") for name in names}, **unknown(where)}


def result(kind: str) -> dict[str, Any]:
    kept = {name: f"kept {name}" for name in ("name", "result", "unit_of_measure")}
    hidden = {name: canary(f"{kind} {name}") for name in ("range_minimum", "range_maximum", "comments")}
    return {"result_type": kind, **kept, **hidden, **unknown(kind)}


def report(where: str) -> dict[str, Any]:
    strange = {
        name: {"of": [canary(f"{where} {name}")]}
        for name in ("name", "result", "unit_of_measure", "range_minimum", "range_maximum", "comments")
    }
    return {
        "report_id": "REPORT-1",
        "results": [
            *map(result, ("quantity", "reactivity", "genotype", "another kind")),
            {"result_type": "strange", **strange, "time_collected": NO_TIME, **unknown("strange")},
        ],
        "pdf": f"https://example.com/{canary('pdf').replace(' ', '-')}",
        "txt": f"https://example.com/{canary('txt').replace(' ', '-')}",
        **unknown(where),
    }


def parcel(where: str) -> dict[str, Any]:
    return {"tracking_number": canary(f"{where} tracking"), "carrier": "usps", **unknown(where)}


KIT = {
    "kit_id": "SPOT123456",
    "events": [{"status": "preparing", **unknown("kit event")}],
    "shipment_to_customer": parcel("outward"),
    "registered_to": person("registrant"),
    "sample": {
        "sample_id": "S1",
        "events": [{"status": "received", **unknown("sample event")}],
        "shipments": [parcel("back")],
        "panels": ["kept panel"],
        "reports": [report("kit report")],
        **unknown("sample"),
    },
    **unknown("kit"),
}
ORDER = {
    "order_id": "O1",
    "recipient": {
        **{name: canary(f"recipient {name}") for name in ("first_name", "last_name", "email", "phone")},
        "address": address("recipient address"),
        **unknown("recipient"),
    },
    "metadata": {"note": canary("order metadata")},
    "added_later": canary("order unknown"),
}
REQUISITION = {
    "requisition_id": "R1",
    "panels": ["kept panel"],
    "state_collected": canary("state collected"),
    "patient": {**person("patient"), "address": address("patient address")},
    "tracking": parcel("requisition"),
    "events": [{"event": "created", **unknown("requisition event")}],
    "reports": [report("requisition report")],
    "attributes": {
        "crl_slip_id": canary("slip"),
        "crl_tier3_account_number": canary("tier 3"),
        **unknown("attributes"),
    },
    "metadata": {"note": canary("requisition metadata")},
    "added_later": canary("requisition unknown"),
}
PLANTED: list[tuple[type[Any], dict[str, Any]]] = [(Kit, KIT), (Order, ORDER), (Requisition, REQUISITION)]
of_each = pytest.mark.parametrize(("model", "tree"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))


def canaries_in(text: str) -> set[str]:
    """The marks of the canaries, and the date of birth."""
    words = text.replace('"', " ").replace("/", " ").replace("'", " ").replace("-", " ").split()
    return {word for word in words if word.startswith("canary")} | ({BORN} if BORN in text else set())


def rows_of(of: Any, *, phi: bool) -> dict[str, list[Any]]:
    if isinstance(of, Order):
        return order_rows(of, phi=phi)
    make: Any = kit_rows if isinstance(of, Kit) else requisition_rows
    made: dict[str, list[Any]] = make(of, phi=phi, pseudonym=lambda _: "pseudonym")
    return made


def written(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def models_in(value: Any) -> Iterator[Model]:
    if isinstance(value, tuple):
        for one in value:
            yield from models_in(one)
    elif isinstance(value, Model):
        yield value
        for field in attrs.fields(type(value)):
            yield from models_in(getattr(value, field.name))


@of_each
def test_a_canary_is_in_every_field_of_patient_data(model: type[Any], tree: dict[str, Any]) -> None:
    for part in models_in(loads(json.dumps(tree), model)):
        for name in phi_fields(type(part)) - KEPT - {"_as_came"}:
            if name == "time_collected" or (name == "address" and part.address is None):  # type: ignore[attr-defined]
                continue
            assert canaries_in(written_model(getattr(part, name))), f"{type(part).__name__}.{name}"


def written_model(value: Any) -> str:
    return dumps(value).decode() if isinstance(value, Model) else written(value)


def test_there_are_enough_of_them() -> None:
    found = [canaries_in(written(tree)) for _, tree in PLANTED]

    assert all(len(marks) > 15 for marks in found)
    assert len({*chain(*found)}) > 120


@of_each
def test_no_row_shows_one_without_phi(model: type[Any], tree: dict[str, Any]) -> None:
    made = rows_of(loads(json.dumps(tree), model), phi=False)

    assert canaries_in(written(made)) == set()
    for name, rows in made.items():
        for row in TABLES[name].as_dicts(rows):
            assert [column.name for column in TABLES[name].columns if column.is_phi and row[column.name]] == []
    if model is not Order:
        assert {"pseudonym", "kept name", "kept result", "kept unit_of_measure"} <= {*flat(made)}
        assert '["kept panel"]' in flat(made)


def flat(made: dict[str, list[Any]]) -> list[Any]:
    return [value for rows in made.values() for row in rows for value in row]


@of_each
def test_with_phi_the_rows_show_all_of_them(model: type[Any], tree: dict[str, Any]) -> None:
    made = rows_of(loads(json.dumps(tree), model), phi=True)

    assert canaries_in(written(tree)) - canaries_in(written(made)) - {NO_TIME} == set()


@of_each
def test_no_result_row_and_no_resource_shows_one_without_phi(model: type[Any], tree: dict[str, Any]) -> None:
    if model is Order:
        return
    of = loads(json.dumps(tree), model)

    for made in (result_rows(of), bundle(of), [*resources(of, pseudonym=lambda _: "pseudonym")]):
        assert canaries_in(written(made)) == set()
        assert "kept result" in written(made)
    assert "pseudonym" in written([*resources(of, pseudonym=lambda _: "pseudonym")])
    assert len(canaries_in(written(bundle(of, phi=True, links=True)))) > 10


def test_a_kind_of_result_that_the_sdk_does_not_know_hides_what_it_holds() -> None:
    strange = loads(json.dumps(KIT["sample"]["reports"][0]["results"][-1]), UnknownResult)

    assert isinstance(strange.result, dict)
    row = result_rows(loads(json.dumps(KIT), Kit))[-1]
    assert [row[name] for name in ("name", "value_text", "unit", "low", "high", "time_collected")] == [None] * 6
