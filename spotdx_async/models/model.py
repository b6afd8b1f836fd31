"""What every model has: unknown fields, lossless serialization, a ``repr`` without patient data.

Patient data is marked once, on the field that holds it; every text made from a model respects the mark.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

_EMPTY: tuple[Any, ...] = (None, (), {})
_MARK = "phi"
_NEEDED = "required"

PHI: Final[dict[str, Any]] = {"repr": False, "metadata": {_MARK: True}}
"""Passed to ``attrs.field`` for a field that holds patient data: no ``repr``, ``str`` or table shows its value."""


REQUIRED: Final[dict[str, Any]] = {"default": None, "metadata": {_NEEDED: True}}
"""Passed to ``attrs.field`` for a field that must be sent: type checkers see no default and say that it is missing.

There is one all the same, since answers may leave anything out; without a value nothing is sent."""
REQUIRED_LIST: Final[dict[str, Any]] = {**REQUIRED, "default": ()}
"""The same for a list."""
REQUIRED_PHI: Final[dict[str, Any]] = {**REQUIRED, **PHI, "metadata": {**REQUIRED["metadata"], **PHI["metadata"]}}
"""The same for a field that holds patient data."""
REQUIRED_LIST_PHI: Final[dict[str, Any]] = {**REQUIRED_PHI, "default": ()}
"""The same for a list of it."""


class _NoFields(dict[str, Any]):
    """The unknown fields of every model that came without any.

    One for all: a kit has twenty models, whose empty dicts took a fifth of its memory, and had the garbage collector
    run far more often. Pickled by its name, it stays one.
    """

    __slots__ = ()

    def __reduce__(self) -> str:
        return "NO_FIELDS"

    def _refuse(self, *_args: object, **_options: object) -> NoReturn:
        raise TypeError("a model's unknown fields cannot be changed: use attrs.evolve(model, extra=…)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


NO_FIELDS: Final[Mapping[str, Any]] = _NoFields()


def phi_fields(cls: type[attrs.AttrsInstance]) -> frozenset[str]:
    """Return the names of the fields that must not be shown, inherited and private ones included."""
    return frozenset(field.name for field in attrs.fields(cls) if field.metadata.get(_MARK))


def is_required(field: "attrs.Attribute[Any]") -> bool:
    """Return whether a field of a model must be given to what is sent."""
    return bool(field.metadata.get(_NEEDED))


@attrs.frozen(kw_only=True, repr=False)
class Model:
    """The base of all models. A missing or null field of an answer is None, or ``()`` for a list.

    What you build to be sent needs the fields that the API requires: type checkers and editors name those that are
    missing, and so does ``InvalidInputError`` before anything is sent. All other fields may be left out.
    """

    extra: Mapping[str, Any] = attrs.field(factory=dict, hash=False, **PHI)
    """Fields of the answer that the SDK does not know, as they came; empty for a model that you built."""

    if not TYPE_CHECKING:  # no editor offers it, neither to read nor as an argument
        _as_came: Mapping[str, Any] | None = attrs.field(default=None, eq=False, **PHI)
        """The JSON of values whose field does not tell it: null or missing, ``[]`` or null, ``"20"`` or 20.

        Kept so that ``dumps`` writes what came. ``...`` stands for a property that was missing although its field has a
        value. Leave it out when you build a model.
        """

    def __dir__(self) -> list[str]:
        """Leave out what is private, so that the completion of a console shows fields alone."""
        return [name for name in super().__dir__() if name != "_as_came"]

    def __repr__(self) -> str:
        """Show what is not patient data, and ``<hidden>`` in place of what is."""
        phi = phi_fields(type(self))
        values = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        del values["_as_came"]
        filled = {name: value for name, value in values.items() if value not in _EMPTY}
        shown = [f"{name}={value!r}" for name, value in filled.items() if name not in phi]
        if len(shown) < len(filled):
            shown.append("<hidden>")
        return f"{type(self).__name__}({', '.join(shown)})"


def as_came(model: Model) -> Mapping[str, Any]:
    """Return the JSON of those values of a model whose field does not tell it; ``...`` stands for what was missing."""
    return model._as_came or NO_FIELDS  # type: ignore[attr-defined]  # noqa: SLF001 - hidden from checkers


def as_tuple(value: Iterable[str]) -> tuple[str, ...]:
    """Return a caller's list as a tuple; anything else is returned unchanged, to be refused before it is sent."""
    return tuple(value) if isinstance(value, list) else value  # type: ignore[return-value]  # refused by the checks
