"""What every model has: unknown fields, a way out that loses nothing, a text without patient data."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from .privacy import PHI, phi_fields

__all__ = ["Model", "as_tuple"]

_EMPTY: tuple[Any, ...] = (None, (), {})


@attrs.frozen(kw_only=True, repr=False)
class Model:
    """The root of all models. Each field may be left out, so that tests can build what they need.

    A missing or null field is its default: None, or ``()`` for a list.
    """

    extra: Mapping[str, Any] = attrs.field(factory=dict, hash=False, **PHI)
    """Fields that came and that the SDK does not know, as they came; empty for a model of your own making."""

    _as_came: Mapping[str, Any] | None = attrs.field(default=None, eq=False, **PHI)
    """The JSON form of values that it cannot be told from: null or missing, ``[]`` or null, ``"20"`` or 20.

    Kept so that ``dumps`` writes what came. ``...`` stands for a property that was missing although its field has a
    value. Leave it out when you build a model.
    """

    def __repr__(self) -> str:
        """Show what is no patient data, and ``<hidden>`` where there is some."""
        phi = phi_fields(type(self))
        values = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        del values["_as_came"]
        filled = {name: value for name, value in values.items() if value not in _EMPTY}
        shown = [f"{name}={value!r}" for name, value in filled.items() if name not in phi]
        if len(shown) < len(filled):
            shown.append("<hidden>")
        return f"{type(self).__name__}({', '.join(shown)})"


def as_tuple(value: Iterable[str]) -> tuple[str, ...]:
    """Make a tuple of a list that a caller gives; what is no list stays, to be refused before it is sent."""
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]  # refused by the checks
