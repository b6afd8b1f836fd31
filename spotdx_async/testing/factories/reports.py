"""Laboratory reports that no laboratory wrote, with a result of each known kind."""

from typing import Any

from spotdx_async.models import GenotypeResult, QuantityResult, ReactivityResult, Report, UnknownResult
from spotdx_async.testing.factories.making import at, checked, made

__all__ = [
    "COLLECTED_ON",
    "RECEIVED_ON",
    "RESULTED_ON",
    "make_genotype_result",
    "make_quantity_result",
    "make_reactivity_result",
    "make_report",
    "make_unknown_result",
]

COLLECTED_ON, RECEIVED_ON, RESULTED_ON = 7, 9, 11
"""The days of a sample's way, as the samples and requisitions have them too."""


def make_quantity_result(number: int = 1, /, **fields: Any) -> QuantityResult:
    """Make an amount within its reference range."""
    return made(
        QuantityResult,
        fields,
        name=f"Made-up Amount {checked(number)}",
        time_collected=at(COLLECTED_ON),
        result=100,
        unit_of_measure="mg/dL",
        range_minimum=20,
        range_maximum=200,
    )


def make_reactivity_result(number: int = 1, /, **fields: Any) -> ReactivityResult:
    """Make the result that nothing was found."""
    name = f"Made-up Finding {checked(number)}"
    return made(ReactivityResult, fields, name=name, time_collected=at(COLLECTED_ON), result="negative")


def make_genotype_result(number: int = 1, /, **fields: Any) -> GenotypeResult:
    """Make two letters found at a place that no genome has."""
    name = f"rs0000{checked(number):06}"
    return made(GenotypeResult, fields, name=name, time_collected=at(COLLECTED_ON), result="TT")


def make_unknown_result(number: int = 1, /, **fields: Any) -> UnknownResult:
    """Make a result of a kind that the vendor does not have."""
    return made(
        UnknownResult,
        fields,
        result_type="made_up_kind",
        name=f"Made-up Kind {checked(number)}",
        time_collected=at(COLLECTED_ON),
        result="none",
    )


def make_report(number: int = 1, /, **fields: Any) -> Report:
    """Make a report with a result of each known kind."""
    return made(
        Report,
        fields,
        report_id=f"REPORT-{checked(number)}",
        results=(make_quantity_result(number), make_reactivity_result(number), make_genotype_result(number)),
        pdf=f"https://example.com/reports/{number}.pdf",
        txt=f"https://example.com/reports/{number}.txt",
        date_collected=at(COLLECTED_ON),
        date_received=at(RECEIVED_ON),
        date_resulted=at(RESULTED_ON),
        is_amendment=False,
    )
