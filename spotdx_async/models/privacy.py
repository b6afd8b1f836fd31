"""Which fields hold patient data: marked once, where the field stands; every text made of a model reads the mark."""

from typing import Any, Final

import attrs

__all__ = ["PHI", "phi_fields"]

_MARK = "phi"

PHI: Final[dict[str, Any]] = {"repr": False, "metadata": {_MARK: True}}
"""What ``attrs.field`` takes for a field with patient data: its value shows in no ``repr``, ``str`` or table."""


def phi_fields(cls: type[attrs.AttrsInstance]) -> frozenset[str]:
    """Name the fields of a model that must not be shown, inherited and private ones included."""
    return frozenset(field.name for field in attrs.fields(cls) if field.metadata.get(_MARK))
