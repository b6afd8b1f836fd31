"""The operations as rows of a table, and how a row with arguments becomes a request; pure, knows no network."""

import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote, urlencode

from attrs import field, frozen

from spotdx_async._codec.encoding import Encode, encoded
from spotdx_async._codec.json import NotSerializableError, check_serializable, is_unicode, serialize
from spotdx_async._http.messages import Reply, Request
from spotdx_async._requests.answers import decoder_of
from spotdx_async._requests.identity import Identity
from spotdx_async.errors import InvalidInputError
from spotdx_async.network import check_headers

T = TypeVar("T")

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = _SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
_MOST_DECODINGS = 8
"""More than chained proxies decode: an id that is still encoded after that is made to deceive."""
_FIRST_PRINTABLE, _DELETE, _LAST_C1 = 0x20, 0x7F, 0x9F


@frozen
class Operation(Generic[T]):
    """One row of the contract's table of operations; ``T`` is what its answer is decoded to."""

    method: str
    path: str
    """The path template, slashes exactly as the contract has them, with at most one ``{placeholder}``."""
    is_replay_safe: bool
    """Whether executing it twice leaves the same state as once."""
    answer: type[T] = field(repr=False)
    """What its answer is: a model, ``list[str]``, or ``ListPage[model]``."""
    query: tuple[str, ...] = ()
    """The query parameters that the contract names."""
    identity: Identity | None = field(default=None, repr=False)
    """What distinguishes its answer from any other."""
    name: str = field(init=False)
    """The method and the path template, as errors show it."""
    decode: Callable[[Reply], T] = field(init=False, repr=False, eq=False)
    """Decodes an answer; raises DecodeError if it is not one."""
    _parts: tuple[str, str, str] = field(init=False, repr=False)
    """The path before its placeholder, the placeholder's name, and the path after it."""

    @name.default
    def _make_name(self) -> str:
        return f"{self.method} {self.path}"

    @decode.default
    def _make_decode(self) -> Callable[[Reply], T]:
        return decoder_of(self.answer)

    @_parts.default
    def _make_parts(self) -> tuple[str, str, str]:
        before, _, rest = self.path.partition("{")
        id_name, _, after = rest.partition("}")
        return before, id_name, after

    def request(
        self,
        an_id: str | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        allow_any_id: bool = False,
    ) -> Request:
        """Fill in the row.

        Args:
            an_id: replaces the placeholder; percent-encoded into one path segment.
            query: parameters by name; None values are left out, booleans become ``true`` and ``false``, dates
                ``YYYY-MM-DD``.
            json: the body; None for no body.
            allow_any_id: whether the id may contain characters that could lead to another path.

        Raises:
            InvalidInputError: the id is not a usable path segment, a parameter is not in this row, or a value has no
                JSON form.
        """
        name, (before, id_name, after) = self.name, self._parts
        return Request(
            name,
            self.method,
            before + _segment(id_name, an_id, name, allow_any_id=allow_any_id) + after if id_name else self.path,
            _query(query, self.query, name) if query else "",
            None if json is None else _body(json, name),
            self.is_replay_safe,
            None,
            self.identity,
            an_id,
        )

    def checked_request(self, an_id: str, body: bytes | None) -> Request:
        """Fill in the row with values that were checked and written before.

        Args:
            an_id: replaces the placeholder, as returned by ``check_id``.
            body: JSON, such as ``metadata_json`` writes; None for a read.
        """
        before, _, after = self._parts
        path = before + _quoted(an_id) + after
        return Request(self.name, self.method, path, "", body, self.is_replay_safe, None, self.identity, an_id)


def check_id(name: str, value: object, operation: str | None = None, *, allow_any_id: bool = False) -> str:
    """Return the id if it can be used as one path segment.

    Args:
        name: the argument's, as an error shows it.
        value: the id.
        operation: the one that the id is for.
        allow_any_id: whether it may contain characters that a proxy that decodes and normalises paths could take for
            another path.

    Raises:
        InvalidInputError: it is not a string, is empty, ``.`` or ``..``, holds a control character or broken Unicode,
            or could lead to another path.
    """
    if not isinstance(value, str):
        fault = f"must be text, not {type(value).__name__}"
    elif value in {"", ".", ".."}:
        fault = "must not be empty, '.' or '..'"
    elif not value.isprintable() and has_control(value):
        fault = "must not hold control characters"
    elif not value.isascii() and not is_unicode(value):
        fault = "must be valid Unicode"
    elif not allow_any_id and not value.isalnum() and _leads_elsewhere(value):
        fault = (
            "must not hold '/', '\\', ';' or only dots, percent-encoded or not, since a proxy or the server may take "
            "it for another path: allow_any_id=True of SpotClient, ClientSettings and Split, or --allow-any-id of "
            "spotdx, lets it through"
        )
    else:
        return value
    raise InvalidInputError(f"{name} {fault}; nothing was sent", operation=operation)


def _leads_elsewhere(an_id: str) -> bool:
    """Return whether a server that decodes an id, perhaps repeatedly, could take it for more than one path segment."""
    for _ in range(_MOST_DECODINGS):
        # Tomcat, Jetty and others take everything from a semicolon on as parameters of the segment and cut it off
        # before the look-up: "..;" is the parent segment, and "SPOT1;x" is SPOT1. The vendor's ids contain none.
        if "/" in an_id or "\\" in an_id or ";" in an_id or not an_id.strip("."):
            return True
        decoded = unquote(an_id)
        if decoded == an_id:
            return False
        an_id = decoded
    return True


def metadata_body(metadata: Any, operation: str | None = None, encode: Encode | None = None) -> dict[str, Any]:
    """Return the body that sets the metadata; its values are checked when it is written as JSON.

    Args:
        metadata: from the caller.
        operation: what sends it.
        encode: the client's, for values that JSON lacks.

    Raises:
        InvalidInputError: the metadata is not a mapping.
    """
    if isinstance(metadata, dict):  # checked first: checking for any mapping takes as long as all the rest here
        body = {"metadata": metadata}
    elif isinstance(metadata, Mapping):
        body = {"metadata": dict(metadata)}
    else:
        found = type(metadata).__name__
        raise InvalidInputError(f"metadata must be a mapping, not {found}; nothing was sent", operation=operation)
    return body if encode is None else encoded(body, encode)


def metadata_json(metadata: Any, operation: str | None = None, encode: Encode | None = None) -> bytes:
    """Return the JSON body that sets the metadata, unaffected by later changes to the mapping.

    Raises:
        InvalidInputError: the metadata is not a mapping with string keys and JSON values.
    """
    return _body(metadata_body(metadata, operation, encode), operation)


def metadata_of(body: bytes) -> bytes:
    """Return the JSON of the metadata alone, out of what ``metadata_json`` has written."""
    return body[len(b'{"metadata":') : -1]


def check_metadata(metadata: Any, encode: Encode | None = None) -> None:
    """Check the metadata as sending would: a mapping with string keys and JSON values.

    Raises:
        InvalidInputError: it is not a mapping, or holds something that JSON does not have: the message names the place.
    """
    body = metadata_body(metadata, encode=encode)
    try:
        check_serializable(body)
    except NotSerializableError as error:
        fault = _text(error, "metadata")
    else:
        return
    raise InvalidInputError(fault)


def unlisted_request(
    method: object,
    path: object,
    *,
    json: Any,
    query: Mapping[str, Any] | None,
    replay_safe: bool,
    headers: Mapping[str, str] | None = None,
    encode: Encode | None = None,
) -> Request:
    """Return a request to an endpoint that no row describes.

    Errors name it by the method alone, since the path may hold ids. GET, HEAD and OPTIONS are safe to repeat by HTTP's
    own rule.

    Raises:
        InvalidInputError: an unknown method, a path that does not start with ``/``, holds ``?``, ``#``, a control
            character or a ``.`` or ``..`` segment, alone or before a ``;``, values that have no JSON or query form, or
            headers that are not a caller's to set.
    """
    if not isinstance(method, str) or method not in _METHODS:
        raise InvalidInputError(f"method must be one of {', '.join(sorted(_METHODS))}; nothing was sent")
    name = f"{method} (a path given to request)"
    if not isinstance(path, str) or not path.startswith("/"):
        raise InvalidInputError("path must be a string that starts with '/'; nothing was sent", operation=name)
    if "?" in path or "#" in path or has_control(path) or not is_unicode(path):
        raise InvalidInputError(
            "path must hold no '?', '#' or control character: pass parameters as query=; nothing was sent",
            operation=name,
        )
    if not {".", ".."}.isdisjoint(segment.partition(";")[0] for segment in path.split("/")):
        raise InvalidInputError("path must hold no '.' or '..' segment; nothing was sent", operation=name)
    return Request(
        operation=name,
        method=method,
        path=quote(path, safe="/%:@!$&'()*+,;=~"),
        query=_query(query, None, name) if query else "",
        body=None if json is None else _body(encoded(json, encode), name),
        is_replay_safe=replay_safe or method in _SAFE_METHODS,
        headers=check_headers(headers, error=InvalidInputError),
    )


def _segment(name: str, value: object, operation: str, *, allow_any_id: bool) -> str:
    return _quoted(check_id(name, value, operation, allow_any_id=allow_any_id))


def _quoted(an_id: str) -> str:
    return an_id if an_id.isascii() and an_id.isalnum() else quote(an_id, safe="")


def _body(json: Any, operation: str | None) -> bytes:
    try:
        return serialize(json)
    except NotSerializableError as error:
        fault = _text(error, "the body")
    raise InvalidInputError(fault, operation=operation)


def _text(error: NotSerializableError, what: str) -> str:
    where = error.path.lstrip(".") or what
    return f"{where} {error.why}; nothing was sent"


def _query(query: object, names: tuple[str, ...] | None, operation: str) -> str:
    if not isinstance(query, Mapping):
        found = type(query).__name__
        raise InvalidInputError(f"query must be a mapping, not {found}; nothing was sent", operation=operation)
    pairs = []
    for name, value in query.items():
        if not isinstance(name, str) or not is_unicode(name):
            raise InvalidInputError("query must have valid texts for names; nothing was sent", operation=operation)
        if names is not None and name not in names:
            raise InvalidInputError(f"{name} is not one of its parameters; nothing was sent", operation=operation)
        if value is not None:
            pairs.append((name, _query_text(name, value, operation)))
    return urlencode(pairs, quote_via=quote)


def _query_text(name: str, value: object, operation: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str) and not has_control(value) and is_unicode(value):
        return value
    if isinstance(value, (int, float)) and -sys.float_info.max <= value <= sys.float_info.max:
        return str(value)
    raise InvalidInputError(
        f"{name} must be a text without control characters, a number, a boolean or a date; nothing was sent",
        operation=operation,
    )


def has_control(text: str) -> bool:
    """Return whether a text holds a control character."""
    return any(ord(char) < _FIRST_PRINTABLE or _DELETE <= ord(char) <= _LAST_C1 for char in text)
