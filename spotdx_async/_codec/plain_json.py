"""What ``json`` uses of orjson, by the standard library: for Pythons that orjson has no wheel for.

It refuses what orjson refuses, and writes what it writes.
"""

import json
import re
from contextlib import suppress
from typing import Any, Final, NoReturn

__all__ = ["OPT_SORT_KEYS", "JSONDecodeError", "dumps", "is_deeper", "loads", "unless_too_deep"]

OPT_SORT_KEYS: Final = 1
_DEEPEST: Final = 254
_DEEPEST_PARSED: Final = 1024
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_LEAST, _MOST = -(2**63), 2**64 - 1
# Long integers, numbers that may be beyond a float, and lone surrogates: what the two libraries read differently.
_ODD: Final = re.compile(rb"\d{19}|[eE]\+?\d{3}|\\u[dD][89a-fA-F]")
_LONE: Final = re.compile("[\ud800-\udfff]")


class JSONDecodeError(ValueError):
    """The text is not JSON; this says nothing of it."""


def _refuse(_: object) -> NoReturn:
    raise ValueError


def _integer(literal: str) -> int | float:
    number = int(literal)
    return number if _LEAST <= number <= _MOST else _float(literal)


def _float(literal: str) -> float:
    number = float(literal)
    return number if abs(number) != float("inf") else _refuse(literal)


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
_CAREFUL: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_float, parse_int=_integer)


def loads(text: bytes) -> Any:
    """Parse JSON in UTF-8; an integer beyond 64 bits becomes a float.

    Raises:
        JSONDecodeError: it is not JSON, holds NaN, a number that no float can hold or a lone surrogate, or is nested
            deeper than 1,024.
    """
    is_odd = _ODD.search(text) is not None
    with suppress(ValueError):
        try:
            value = (_CAREFUL if is_odd else _DECODER).decode(text.decode())
        except RecursionError:
            value = _DeepText(text.decode()).value()
        if not (is_odd and _has_lone_surrogate(value)):
            return unless_too_deep(text, value)
    raise JSONDecodeError


class _DeepText:
    """Parses without recursion, where the standard library's decoder has gone too deep."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, _after_space(text, 0)
        self._levels: list[Any] = [[]]
        """The lists and objects around the place, the outermost first; in the first of them comes the whole value."""
        self._is_due, self._is_opened = True, False
        """Whether a value must come, and whether a list or an object has just begun, which may end as well."""

    def value(self) -> Any:
        """Return the value.

        Raises:
            ValueError: it is not JSON, or is nested deeper than 1,024.
        """
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in "]}":
                self._close(char)
            elif self._is_due:
                self._add()
            else:
                self._separate(char)
            self._at = _after_space(self._text, self._at)
        if len(self._levels) > 1 or self._is_due:
            raise ValueError
        return self._levels[0][0]

    def _close(self, char: str) -> None:
        if self._is_due and not self._is_opened:
            raise ValueError
        inside = self._levels.pop()
        if not self._levels or isinstance(inside, dict) != (char == "}"):
            raise ValueError
        self._at, self._is_due, self._is_opened = self._at + 1, False, False

    def _separate(self, char: str) -> None:
        if char != "," or len(self._levels) == 1:
            raise ValueError
        self._at, self._is_due = self._at + 1, True

    def _add(self) -> None:
        inside = self._levels[-1]
        key = self._key() if isinstance(inside, dict) else None
        opened = {"{": dict, "[": list}.get(self._text[self._at : self._at + 1])
        if opened is None:
            value, self._at = _CAREFUL.raw_decode(self._text, self._at)
        else:
            value, self._at = opened(), self._at + 1
            self._levels.append(value)
            if len(self._levels) > _DEEPEST_PARSED + 1:
                raise ValueError
        if key is None:
            inside.append(value)
        else:
            inside[key] = value
        self._is_due = self._is_opened = opened is not None

    def _key(self) -> str:
        key, at = _CAREFUL.raw_decode(self._text, self._at)
        at = _after_space(self._text, at)
        if not isinstance(key, str) or self._text[at : at + 1] != ":":
            raise ValueError
        self._at = _after_space(self._text, at + 1)
        return key


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def unless_too_deep(text: bytes, value: Any) -> Any:
    """Return the value that the standard library has read from a text.

    How deep its decoder goes depends on the Python and on ``sys.setrecursionlimit``.

    Raises:
        ValueError: it is nested deeper than 1,024.
    """
    if text.count(b"[") + text.count(b"{") > _DEEPEST_PARSED and is_deeper(value, _DEEPEST_PARSED):
        raise ValueError
    return value


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether lists and objects that were parsed are nested deeper than so many levels. Without recursion."""
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(levels):
        insides = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for inside in insides for one in inside if isinstance(one, (dict, list))]
        if not level:
            return False
    return True


def _has_lone_surrogate(value: Any) -> bool:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str) and _LONE.search(one) is not None:
            return True
        if isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list):
            left += one
    return False


def dumps(value: Any, option: int = 0) -> bytes:
    """Write JSON as UTF-8, with keys in their order or, with ``OPT_SORT_KEYS``, sorted.

    Raises:
        TypeError: it has no JSON form, an integer beyond 64 bits, or more than 254 levels.
    """
    try:
        return _text(value, _DEEPEST, is_sorted=option == OPT_SORT_KEYS).encode()
    except ValueError:  # a lone surrogate
        pass
    raise TypeError("it has no JSON form")


def _text(value: Any, levels: int, *, is_sorted: bool) -> str:
    if isinstance(value, (dict, list, tuple)):
        if not levels:
            raise TypeError("it is nested too deeply")
        if not isinstance(value, dict):
            return f"[{','.join(_text(item, levels - 1, is_sorted=is_sorted) for item in value)}]"
        held = dict.items(value)  # as orjson reads a subclass that shows something else
        if not all(isinstance(key, str) for key, _ in held):
            raise TypeError("it has a key that is not a string")
        items = sorted(held, key=lambda item: item[0].encode()) if is_sorted else held
        members = (f"{_scalar(key)}:{_text(item, levels - 1, is_sorted=is_sorted)}" for key, item in items)
        return f"{{{','.join(members)}}}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if type(value) is float:
        return _float_text(value)
    if isinstance(value, float):
        raise TypeError("it is a float of a class of its own")
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise TypeError("it has an integer beyond 64 bits")
    return json.dumps(value, ensure_ascii=False)


def _float_text(number: float) -> str:
    """Return a float as orjson writes it: the shortest digits that read back as the same one."""
    if number != number or abs(number) == float("inf"):  # noqa: PLR0124 - NaN
        return "null"
    digits, small, exponent = float.__repr__(number).partition("e-")
    if not small:
        return digits
    if exponent == "05":  # the least that is written without an exponent
        sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
        return f"{sign}0.0000{digits.replace('.', '')}"
    return f"{digits}e-{int(exponent)}"
