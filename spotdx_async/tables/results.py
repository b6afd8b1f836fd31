"""The table of results, those of kits and of requisitions, and which of them are current."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from spotdx_async.models import Report, Result
from spotdx_async.tables.cells import extra_of, instant, plain, text_of
from spotdx_async.tables.readings import Reading, read
from spotdx_async.tables.schema import Row, Table, key, patient_data, safe

Source: TypeAlias = Literal["kit", "requisition"]

RESULTS = Table(
    name="results",
    # One table for both: whoever asks for a biomarker wants all of its results, wherever the sample came from. The key
    # says which kind of object it is beside the id, since nothing promises that the ids of both kinds differ.
    doc="One result of a report, of a kit's sample or of a requisition.",
    columns=(
        key("source", "text", "What the result belongs to: ``kit`` or ``requisition``."),
        key("source_id", "text", "The id of that kit or requisition."),
        key("report_seq", "integer", "The position of its report, from 0: ``seq`` of the report's row."),
        key("seq", "integer", "Its position in the report, from 0."),
        safe("kit_id", "text", "The kit's id; null for the result of a requisition."),
        safe("requisition_id", "text", "The requisition's id; null for the result of a kit."),
        safe("sample_id", "text", "The sample's id; null for the result of a requisition."),
        safe("report_id", "text", "The report's id."),
        safe("name", "text", "The biomarker that was analyzed, or the position in the genome."),
        safe(
            "result_type", "text", "``quantity``, ``reactivity``, ``genotype``, or a word that the vendor adds later."
        ),
        safe(
            "value_text",
            "text",
            "The result as it came; a number as JSON writes it. An object or a list, which only kinds of result that "
            "the SDK does not know may hold, is only here with ``phi``.",
        ),
        safe(
            "value",
            "real",
            "The amount, where the result is surely a number; null for a bound such as ``<10`` and for other text.",
        ),
        safe(
            "comparator",
            "text",
            "``<``, ``<=``, ``>`` or ``>=`` where the amount is only known to be below or above ``bound``; else null.",
        ),
        safe("bound", "real", "The number of a bound: 10 for ``<10``; null where ``comparator`` is null."),
        safe("unit", "text", "The unit of the amount and of the range, as it came."),
        safe("low", "real", "The low end of the reference range; null where there is none, or no number."),
        safe("high", "real", "The high end of the reference range; null where there is none, or no number."),
        safe(
            "flag",
            "text",
            "``low``, ``normal`` or ``high`` where amount or bound surely lie so in the range, whose ends belong to "
            "it; ``positive`` or ``negative`` where the result is that word; else null.",
        ),
        safe("time_collected", "instant", "When the sample was taken."),
        safe("date_resulted", "instant", "When the report's results were ready."),
        safe("is_amendment", "boolean", "Whether the report amends an earlier one."),
        safe(
            "is_current",
            "boolean",
            "Whether no newer report of the same kit or requisition has a result of the same name. The SDK infers "
            "this: the vendor does not say which result an amendment replaces.",
            nullable=False,
        ),
        patient_data("low_text", "text", "The low end of the range as it came, where it is no number."),
        patient_data("high_text", "text", "The high end of the range as it came, where it is no number."),
        patient_data("comments", "text", "The laboratory's comments."),
        patient_data("extra", "json", "Fields of the result that the SDK does not know, as an object."),
    ),
    primary_key=("source", "source_id", "report_seq", "seq"),
    owner=("source", "source_id"),
    indexes=(("kit_id",), ("requisition_id",), ("name", "date_resulted")),
)

_NOTHING_PRIVATE: Row = (None,) * 4
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def results_of(
    source: Source, source_id: str | None, sample_id: str | None, reports: Sequence[Report | None], *, phi: bool
) -> list[Row]:
    """Return the rows of the results of all reports, in their order."""
    kit_id, requisition_id = (source_id, None) if source == "kit" else (None, source_id)
    newest = newest_reports(reports)
    rows: list[Row] = []
    for report_seq, report in enumerate(reports):
        if report is None:
            continue
        of_report = (kit_id, requisition_id, sample_id, report.report_id)
        resulted, is_amendment = instant(report.date_resulted), report.is_amendment
        for seq, result in enumerate(report.results):
            reading = read(result)
            name = result.name
            rows.append(
                (
                    *(source, source_id, report_seq, seq),
                    *of_report,
                    text_of(name, phi=phi),
                    plain(result.result_type),
                    text_of(result.result, phi=phi),
                    reading.value,
                    reading.comparator,
                    reading.bound,
                    text_of(result.unit_of_measure, phi=phi),
                    reading.low,
                    reading.high,
                    reading.flag,
                    instant(result.time_collected),
                    resulted,
                    is_amendment,
                    not isinstance(name, str) or newest.get(name, report_seq) == report_seq,
                    *(_private(result, reading) if phi else _NOTHING_PRIVATE),
                )
            )
    return RESULTS.shown(rows, phi=phi)


def newest_reports(reports: Sequence[Report | None]) -> Mapping[str, int]:
    """Return the position of the newest report that has a result of each name; empty if there is but one report.

    The newest is the one with the latest ``date_resulted``, of those with the same an amendment, and then the last in
    the list. Without a date, an amendment is newer than any report with one, since it amends something; another report
    is older. Results without a name are in no relation to others.
    """
    by_age = sorted((_age(report), position, report) for position, report in enumerate(reports) if report is not None)
    if len(by_age) <= 1:
        return {}
    return {
        result.name: position
        for _, position, report in by_age  # the newest comes last, and its entry stays
        for result in report.results
        if isinstance(result.name, str)
    }


def _age(report: Report) -> tuple[int, datetime, bool]:
    """Return what sorts reports by age, the oldest first."""
    resulted, is_amendment = instant(report.date_resulted), bool(report.is_amendment)
    if resulted is None:
        return 2 if is_amendment else 0, _LONG_AGO, is_amendment
    return 1, resulted, is_amendment


def _private(result: Result, reading: Reading) -> Row:
    low, high = result.range_minimum, result.range_maximum
    return (
        text_of(low, phi=True) if reading.low is None else None,
        text_of(high, phi=True) if reading.high is None else None,
        text_of(result.comments, phi=True),
        extra_of(result, phi=True),
    )
