"""Results as observations: amounts with their units and ranges, findings as codes, everything else as text."""

from typing import Any, Final

from spotdx_async.fhir.case import Case
from spotdx_async.fhir.elements import (
    STATE_SYSTEM,
    Json,
    absent,
    clean,
    coding,
    codings_of,
    compact,
    concept,
    date_time,
    decimal,
    quantity,
)
from spotdx_async.fhir.people import subject
from spotdx_async.models import ReactivityResult, Report, Result
from spotdx_async.tables.cells import text_of
from spotdx_async.tables.readings import Flag, Reading, read

_LABORATORY: Final = coding("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "Laboratory")
_INTERPRETATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_FLAGS: Final[dict[Flag, tuple[str, str]]] = {
    "low": ("L", "Low"),
    "normal": ("N", "Normal"),
    "high": ("H", "High"),
    "positive": ("POS", "Positive"),
    "negative": ("NEG", "Negative"),
}
_SNOMED: Final = "http://snomed.info/sct"
_FINDINGS: Final = {"positive": ("10828004", "Positive"), "negative": ("260385009", "Negative")}
_SUPERSEDED: Final = coding(STATE_SYSTEM, "superseded", "A newer report has a result of the same name")


def observation(
    case: Case, report: Report, result: Result, at: tuple[int, int], *, is_current: bool, status: str
) -> Json:
    """Return the observation that a result is."""
    phi, reading = case.options.phi, read(result)
    unit = text_of(result.unit_of_measure, phi=phi)
    name = text_of(result.name, phi=phi)
    return compact(
        resourceType="Observation",
        id=case.id_of("Observation", *at),
        meta={} if is_current else {"tag": [dict(_SUPERSEDED)]},
        status=status,
        category=[{"coding": [dict(_LABORATORY)]}],
        code=concept(clean(name), codings_of(case.options.codes, result.name, result.unit_of_measure)),
        subject=subject(case),
        effectiveDateTime=date_time(result.time_collected) or date_time(report.date_collected),
        issued=date_time(report.date_resulted),
        **_value(result, reading, unit, phi=phi),
        interpretation=_interpretation(reading.flag),
        note=[{"text": text} for text in [clean(text_of(result.comments, phi=True))] if text and phi],
        specimen=case.specimen(),
        referenceRange=_range(result, reading, unit, phi=phi),
    )


def _value(result: Result, reading: Reading, unit: str | None, *, phi: bool) -> Json:
    raw = result.result
    if reading.value is not None:
        return {"valueQuantity": quantity(decimal(raw, reading.value), unit)}
    if reading.bound is not None:
        bound = decimal(None, reading.bound)
        return {"valueQuantity": quantity(bound, unit, comparator=reading.comparator)}
    if isinstance(raw, bool):
        return {"valueBoolean": raw}
    if isinstance(result, ReactivityResult) and reading.flag in _FINDINGS:
        code, display = _FINDINGS[reading.flag]
        return {"valueCodeableConcept": concept(clean(raw), [coding(_SNOMED, code, display)])}
    text = clean(text_of(raw, phi=phi))
    if text is not None:
        return {"valueString": text}
    is_masked = not phi and raw is not None and not isinstance(raw, str)
    return {"dataAbsentReason": absent("masked" if is_masked else "unknown")}


def _interpretation(flag: Flag | None) -> list[Json]:
    return [] if flag is None else [{"coding": [coding(_INTERPRETATION, *_FLAGS[flag])]}]


def _range(result: Result, reading: Reading, unit: str | None, *, phi: bool) -> list[Json]:
    ends: dict[str, Any] = {}
    texts: list[str] = []
    for name, raw, number in (
        ("low", result.range_minimum, reading.low),
        ("high", result.range_maximum, reading.high),
    ):
        if number is not None:
            ends[name] = quantity(decimal(raw, number), unit)
        elif phi and (text := clean(text_of(raw, phi=True))):
            texts.append(f"{name}: {text}")
    found = compact(**ends, text="; ".join(texts))
    return [found] if found else []
