"""Kits and requisitions as resources of FHIR R4 (4.0.1): plain dicts, made without asking or writing anything.

No code is invented. A result has the codes that the caller gives its name and unit, else its name as text; a unit has a
UCUM code where it is on a fixed list; only ``positive`` and ``negative`` have codes of SNOMED CT. The same object makes
the same resources with the same ids, made of the object's id and of positions, as in ``spotdx_async.tables``.
"""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async.fhir.bundles import bundle, resources
    from spotdx_async.fhir.elements import UNITS, Codes, Coding

__all__ = ["UNITS", "Codes", "Coding", "bundle", "resources"]

if not TYPE_CHECKING:
    __getattr__ = names_from(__name__, {"fhir.bundles": "bundle resources", "fhir.elements": "UNITS Codes Coding"})
