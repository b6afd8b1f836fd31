"""Which fields hold patient data: marked once, where the field stands, and read by every text that is made of a model."""

from typing import Any

import attrs

__all__ = ["hidden", "phi_fields"]

_MARK = "phi"


def hidden(**options: Any) -> Any:
    """Mark a field as patient data: its value shows in no ``repr``, ``str`` or table.

    Args:
        **options: what ``attrs.field`` takes; the default is None where none is given.
    """
    if "factory" not in options:
        options.setdefault("default", None)
    return attrs.field(repr=False, metadata={_MARK: True}, **options)


def phi_fields(cls: type[attrs.AttrsInstance]) -> frozenset[str]:
    """Name the fields of a model that must not be shown, inherited and private ones included."""
    return frozenset(field.name for field in attrs.fields(cls) if field.metadata.get(_MARK))
