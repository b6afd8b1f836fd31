"""A lab's report as the API writes it, with made-up results of all three kinds. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from spotdx_async.testing.made_up import fresh, new_uuid

__all__ = ["new_report", "new_results"]

_NO_RANGE: Mapping[str, Any] = {"unit_of_measure": None, "range_minimum": None, "range_maximum": None}
_RESULTS: tuple[Mapping[str, Any], ...] = (
    {
        "result_type": "quantity",
        "name": "HDL Cholesterol",
        "result": 61.5,
        "unit_of_measure": "mg/dL",
        "range_minimum": 40,
        "range_maximum": 90,
    },
    {
        "result_type": "quantity",
        "name": "Vitamin B12",
        "result": "<10",  # below the detection limit
        "unit_of_measure": "pg/mL",
        "range_minimum": 20,
        "range_maximum": 200,
    },
    {"result_type": "reactivity", "name": "Chlamydia", "result": "negative", **_NO_RANGE},
    {"result_type": "genotype", "name": "rs1234567", "result": "CT", **_NO_RANGE},
)


def new_results(collected: str) -> list[dict[str, Any]]:
    """Give two quantities, a reactivity and a genotype of a sample that was collected at that instant."""
    return [{**result, "time_collected": collected, "comments": None} for result in _RESULTS]


def new_report(
    results: Iterable[Mapping[str, Any]] | None,
    *,
    collected: str,
    received: str,
    resulted: str,
    is_amendment: bool = False,
) -> dict[str, Any]:
    """Give a report with an id of its own.

    Args:
        results: as they shall stand in it; None: made up.
        collected: the instant at which the sample was collected.
        received: the instant at which the lab got it.
        resulted: the instant of the report.
        is_amendment: whether an earlier report is amended.
    """
    report_id = new_uuid()
    given = new_results(collected) if results is None else [fresh(result) for result in results]
    return {
        "report_id": report_id,
        "results": given,
        "pdf": f"https://results.example.com/{report_id}.pdf",
        "txt": f"https://results.example.com/{report_id}.txt",
        "date_collected": collected,
        "date_received": received,
        "date_resulted": resulted,
        "is_amendment": is_amendment,
    }
