"""Answers as bytes: whole ones of a healthy server, and bodies that are wrong in one way each. Knows no socket."""

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import unquote

KIT_TYPES: Final = "/api/v2/kit_types"
"""What the matrix asks beside the call under test; never counted."""
_PAGE: Final = 100


@dataclass(frozen=True)
class Arrived:
    """A request that arrived whole."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path, still encoded."""
        return self.target.partition("?")[0]

    @property
    def kind(self) -> str:
        """``list``, ``create`` or ``update``."""
        if self.method == "GET":
            return "list"
        return "create" if self.path == "/api/v2/orders/" else "update"


def answer(body: bytes = b"", *headers: str, status: str = "200 OK", length: int | None = -1) -> bytes:
    """Make an answer; a length of -1 is the true one, None leaves it out."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + body


def status_of(request: Arrived) -> str:
    """Say how the healthy server answers."""
    return "201 Created" if request.kind == "create" else "200 OK"


def healthy(request: Arrived) -> bytes:
    """Answer as the API would."""
    return answer(good_body(request), "Content-Type: application/json", status=status_of(request))


def kit_types() -> bytes:
    """Answer what is asked beside the call."""
    return answer(b'["health_kit_1"]', "Content-Type: application/json")


def good_body(request: Arrived) -> bytes:
    """Make the body of a healthy answer."""
    if request.kind == "list":
        return _json([{"kit_id": f"SPOT00000{n}", "kit_status": "delivered"} for n in range(3)])
    if request.kind == "create":
        return _json({"order_id": "O1234567", "status": "pending", "kit_types": ["health_kit_1"], "kits": []})
    return _json({"kit_id": unquote(request.path.split("/")[-2]), "status": "delivered", "events": []})


def body(name: str, request: Arrived) -> bytes:
    """Make the named body in the form that fits the request: a list's stands in an array."""
    made = BODIES[name]
    if isinstance(made, bytes):
        return made
    if callable(made):
        return made(request)
    in_object, in_list = made
    return in_list if request.kind == "list" else in_object


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _each(members: str) -> tuple[bytes, bytes]:
    """Put the members into an object, and the object into a list."""
    text = "{" + members + "}"
    return text.encode(), f"[{text}]".encode()


@cache
def bomb(megabytes: int = 64) -> bytes:
    """Pack zeros so that little becomes much."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(1024 * 1024)) for _ in range(megabytes)), packer.flush()])


def full_page(_request: Arrived) -> bytes:
    """Make a page that is full, and the same for every offset."""
    return _json([{"kit_id": f"SPOT{n:06}"} for n in range(_PAGE)])


def other_object(request: Arrived) -> bytes:
    """Make the answer to another request: another kit, an order with another reference, a list of orders."""
    if request.kind == "list":
        return _json([{"order_id": "O1234567", "status": "pending"}])
    if request.kind == "create":
        return _json({"order_id": "O7654321", "status": "pending", "metadata": {"client_ref": "another"}})
    return _json({"kit_id": "SPOT654321", "status": "delivered", "events": []})


BODIES: Final[dict[str, bytes | tuple[bytes, bytes] | Callable[[Arrived], bytes]]] = {
    "good": good_body,
    "empty": b"",
    "null": b"null",
    "html": b"<!doctype html><html><body>Sign in to the network</body></html>",
    "text": b"OK",
    "broken": lambda request: good_body(request)[:-1],
    "trailing": lambda request: good_body(request) + b" x",
    "twice": lambda request: good_body(request) * 2,
    "bom": lambda request: b"\xef\xbb\xbf" + good_body(request),
    "utf-16": lambda request: good_body(request).decode().encode("utf-16"),
    "brackets": b"[" * 200_000,
    "closed brackets": b"[" * 200_000 + b"]" * 200_000,
    "deep": _each('"kit_id": "SPOT123456", "order_id": "O1234567", "more": ' + "[" * 900 + "]" * 900),
    "nan": _each('"kit_id": "SPOT123456", "order_id": "O1234567", "more": NaN'),
    "infinity": _each('"kit_id": "SPOT123456", "order_id": "O1234567", "more": -Infinity'),
    "overflow": _each('"kit_id": "SPOT123456", "order_id": "O1234567", "more": 1e999'),
    "long number": _each('"kit_id": "SPOT123456", "order_id": "O1234567", "more": ' + "9" * 40),
    "too long number": _each('"kit_id": "SPOT123456", "order_id": "O1234567", "more": ' + "9" * 400),
    "invalid utf-8": (b'{"kit_id": "\xff\xfe", "order_id": "\xff"}', b'[{"kit_id": "\xff\xfe"}]'),
    "half a surrogate": _each('"kit_id": "SPOT123456", "order_id": "O1234567", "status": "\\ud800"'),
    "id is a number": _each('"kit_id": 7, "order_id": 7'),
    "other container": (b"[]", b'{"kits": []}'),
    "a string": b'"done"',
    "error with 200": b'{"error": {"code": 500, "type": "server_error", "details": ["no"]}}',
    "unknown words": _each(
        '"kit_id": "SPOT123456", "order_id": "O1", "status": "new", "kit_status": "new", "more": {"a": 1}'
    ),
    "key twice": _each('"kit_id": "SPOT1", "kit_id": "SPOT123456", "order_id": "O1", "order_id": "O2"'),
    "null members": _each('"kit_id": null, "order_id": null, "status": null'),
    "empty object": (b"{}", b"[{}]"),
    "maintenance": _each('"message": "maintenance"'),
    "id inside": _each('"data": {"kit_id": "SPOT123456", "order_id": "O1234567"}'),
    "other object": other_object,
    "full page": full_page,
    "gzip": lambda request: gzip.compress(good_body(request)),
    "cut gzip": lambda request: gzip.compress(good_body(request))[:50],
    "bomb": lambda _: bomb(),
    "11 MB": lambda _: b" " * (11 * 1024 * 1024),
}


def headers_of(lines: Sequence[str]) -> dict[str, str]:
    """Read header lines, names in small letters."""
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
