"""The small parts that FHIR resources are made of: texts, times, numbers, quantities, codings, identifiers."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType, NoneType
from typing import Any, Final, TypeAlias

from spotdx_async.config import PRODUCTION_URL
from spotdx_async.errors import InvalidInputError
from spotdx_async.tables.cells import instant

Json: TypeAlias = dict[str, Any]

Coding: TypeAlias = Mapping[str, Any]
"""A coding of FHIR: ``system``, ``code`` and ``display``."""

Codes: TypeAlias = Mapping[tuple[str, str | None], Coding | Iterable[Coding]]
"""What stands for a name and a unit, exactly as they come: one coding, or several of different systems."""

# Nothing answers at these addresses: they tell the vendor's identifiers from those of others, as FHIR wants it.
KIT_SYSTEM: Final = f"{PRODUCTION_URL}/api/v2/kits"
SAMPLE_SYSTEM: Final = f"{KIT_SYSTEM}#sample_id"
REPORT_SYSTEM: Final = f"{KIT_SYSTEM}#report_id"
REQUISITION_SYSTEM: Final = f"{PRODUCTION_URL}/api/v2/requisitions"
BARCODE_SYSTEM: Final = f"{REQUISITION_SYSTEM}#barcode"
PATIENT_SYSTEM: Final = f"{PRODUCTION_URL}/api/v2/patients"
PSEUDONYM_SYSTEM: Final = f"{PATIENT_SYSTEM}#pseudonym"
STATE_SYSTEM: Final = f"{KIT_SYSTEM}#result-state"

_UCUM: Final = "http://unitsofmeasure.org"
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_EXACT_INTEGERS: Final = 2.0**53
_ODD_SPACE = re.compile(r"[^\S \r\n\t]")
# What XML cannot hold, or a sender must not write: control characters, halves of a surrogate pair, non-characters.
_NO_CHARACTER = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_SAME_IN_UCUM = (
    *("g/dL", "mg/dL", "ug/dL", "ng/dL", "pg/dL", "g/L", "mg/L", "ug/L", "ng/L", "pg/L"),
    *("mg/mL", "ug/mL", "ng/mL", "pg/mL", "mol/L", "mmol/L", "umol/L", "nmol/L", "pmol/L", "mmol/mol"),
    *("U/L", "U/mL", "mU/L", "mg/g", "ug/g", "ng/g", "pg/mg", "fL", "pg", "%"),
)
# Only what has one meaning. "K/uL", "IU", "ratio" and the like are written in too many ways, or mean too many things.
UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{unit: unit for unit in _SAME_IN_UCUM},
        **{unit.replace("u", sign): unit for unit in _SAME_IN_UCUM if "u" in unit for sign in "\u00b5\u03bc"},
        **{unit.replace("u", "mc"): unit for unit in _SAME_IN_UCUM if unit.startswith("ug/")},
        **{f"{prefix}IU/{per}": f"{prefix}[IU]/{per}" for prefix in ("", "m", "u") for per in ("L", "mL")},
        **{f"{sign}IU/{per}": f"u[IU]/{per}" for sign in "\u00b5\u03bc" for per in ("L", "mL")},
        "mEq/L": "meq/L",
    }
)
"""The UCUM code of each unit that is given one. Any other is written as text alone."""


def clean(text: Any) -> str | None:
    """Return a text as FHIR takes one: trimmed, without characters that it forbids; None for what is no text, or empty.

    A space that is none of ASCII's becomes one that is; a character that is forbidden becomes U+FFFD.
    """
    if not isinstance(text, str):
        return None
    return _NO_CHARACTER.sub("\ufffd", _ODD_SPACE.sub(" ", text)).strip() or None


def compact(**members: Any) -> Json:
    """Return an object without what is empty: FHIR has no null, no empty list, no empty object."""
    return {name: value for name, value in members.items() if value not in (None, "", [], {})}


def date_time(moment: Any) -> str | None:
    """Return an instant in UTC as FHIR writes it; None for what is no instant."""
    at = instant(moment)
    if at is None:
        return None
    precision = "auto" if at.microsecond % 1000 or not at.microsecond else "milliseconds"
    return f"{at.replace(tzinfo=None).isoformat(timespec=precision)}Z"


def agreed(values: Iterable[datetime | None]) -> datetime | None:
    """Return the one value that all agree on, where it is there; None if there are none, or several."""
    found = {value for value in values if value is not None}
    return found.pop() if len(found) == 1 else None


def decimal(raw: Any, number: float) -> int | float:
    """Return a number as it is written: an integer of any size exactly, and a whole float without a point."""
    if type(raw) is int:
        return raw
    return int(number) if number.is_integer() and abs(number) < _EXACT_INTEGERS else number


def quantity(number: float, unit: str | None, *, comparator: str | None = None) -> Json:
    """Return an amount in its unit; a unit of the fixed list has its UCUM code too."""
    code = UNITS.get(unit) if unit is not None else None
    system = None if code is None else _UCUM
    return compact(value=number, comparator=comparator, unit=clean(unit), system=system, code=code)


def coding(system: str, code: str, display: str | None = None) -> Json:
    """Return a coding."""
    return compact(system=system, code=code, display=display)


def concept(text: str | None, codings: list[Json]) -> Json:
    """Return a coded concept; where neither text nor codes say what it is, the code for what is not known."""
    if text is None and not codings:
        return absent("unknown")
    return compact(coding=codings, text=text)


def absent(reason: str) -> Json:
    """Return why there is no value: ``unknown``, or ``masked`` for what is left out without ``phi``."""
    return {"coding": [coding(_ABSENT, reason, reason.capitalize())]}


def codings_of(codes: Codes | None, name: Any, unit: Any) -> list[Json]:
    """Return the caller's codings for a name and a unit; an empty list where there are none.

    Raises:
        InvalidInputError: what the caller gives is no coding; the message does not show it.
    """
    if codes is None or not isinstance(name, str) or not isinstance(unit, (str, NoneType)):
        return []  # of an unknown kind of result: neither text nor, perhaps, to be hashed
    found: Any = codes.get((name, unit)) or ()
    listed = [*found] if isinstance(found, Iterable) and not isinstance(found, Mapping) else [found]
    if not all(isinstance(one, Mapping) and one for one in listed):
        raise InvalidInputError(
            "codes must map (name, unit) to a coding, such as {'system': …, 'code': …, 'display': …}, or to several"
        )
    return [dict(one) for one in listed]


def identifier(system: str, value: Any) -> list[Json]:
    """Return an identifier in a list of its own; an empty list where there is none."""
    text = clean(value)
    return [] if text is None else [{"system": system, "value": text}]
