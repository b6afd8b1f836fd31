"""The scripts by name: each makes, from a fault's parameters, what the server does in one turn of a connection."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from . import answers
from .scripted_server import Connection, Script, answer_well

_DATE: Final = re.compile(r"\{now([+-]\d+)\}")
_TIMES: Final = re.compile(r"\{(.)\*(\d+)\}")
_PIECES: Final = {"h": "X: y\r\n"}
_GUIDE: Final = b'{"error": {"code": 0, "type": "a_type", "details": ["first_name: Field is required"]}}'
_OPENAPI: Final = b'{"error": {"status": 0, "type": "a_type", "detail": "Kit id SPOTZZZZZZ not found"}}'
_ERROR_BODIES: Final = {
    "guide": _GUIDE,
    "openapi": _OPENAPI,
    "html": b"<html><body>Bad gateway</body></html>",
    "empty": b"",
    "brackets": b"[" * 200_000,
    "odd": b'{"error": {"type": 7, "details": {"a": [null]}}}',
}


def script_of(name: str, having: Mapping[str, Any]) -> Script:
    """Make the named script."""
    return SCRIPTS[name](**having)


def _healthy() -> Script:
    return answer_well


# Before a request is read


def _close_unread() -> Script:
    async def play(_connection: Connection) -> bool:
        return False

    return play


def _reset_unread() -> Script:
    async def play(connection: Connection) -> bool:
        connection.reset()
        return False

    return play


def _hang_unread() -> Script:
    async def play(connection: Connection) -> bool:
        await connection.wait_for_end()
        return False

    return play


def _say_unread(text: str = "") -> Script:
    """Wait for the first bytes, answer below TLS, close."""

    async def play(connection: Connection) -> bool:
        await connection.read_raw()
        await connection.send_raw(text.encode("latin-1"))
        return False

    return play


# While a request is read


def _read_some(count: int = 0, then: str = "reset") -> Script:
    """Read a few bytes of the head, or all of the head and as many of the body."""

    async def play(connection: Connection) -> bool:
        if count < 0:
            await connection.read(-count)
        else:
            await connection.read_head()
            await connection.read(count)
        return await _end(connection, then)

    return play


def _never_read() -> Script:
    async def play(connection: Connection) -> bool:
        await connection.read_head()
        connection.server.is_half_way.set()
        await asyncio.Event().wait()
        return False

    return play


def _answer_early(status: str) -> Script:
    """Answer when only the head has come, then read on."""

    async def play(connection: Connection) -> bool:
        await connection.read_head()
        await connection.send(answers.answer(_GUIDE, "Connection: close", status=status))
        await connection.wait_for_end()
        return False

    return play


# Instead of an answer


def _no_answer(*, executes: bool = False, then: str = "hang", clock_jumps_s: float = 0.0) -> Script:
    async def play(connection: Connection) -> bool:
        await connection.arrive()
        if executes:
            connection.execute()
        connection.server.wall.wrong_by_s += clock_jumps_s
        return await _end(connection, then)

    return play


def _late(seconds: float, *, before: bool = False) -> Script:
    """Answer late, executed before or after the wait; the wait goes on when the client has left."""

    async def play(connection: Connection) -> bool:
        request = await connection.arrive()
        if before:
            connection.execute()
        await asyncio.sleep(seconds)
        if not before:
            connection.execute()
        await connection.send(answers.healthy(request))
        return True

    return play


def _drip(every_s: float, start: int = 0) -> Script:
    """Send a good answer byte by byte; the first ``start`` at once, and of those -1 are the whole head."""

    async def play(connection: Connection) -> bool:
        request = await connection.arrive()
        connection.execute()
        text = answers.healthy(request)
        at_once = text.index(b"\r\n\r\n") + 4 if start < 0 else start
        await connection.send(text[:at_once])
        for byte in text[at_once:]:
            await asyncio.sleep(every_s)
            await connection.send(bytes([byte]))
        return True

    return play


# Answers


def _raw(text: str, *, executes: bool = True, then: str = "close") -> Script:
    """Send the text as it stands, each character a byte; ``{x*1000}`` is the character as often, and h a header."""
    data = _TIMES.sub(lambda found: _PIECES.get(found[1], found[1]) * int(found[2]), text).encode("latin-1")

    async def play(connection: Connection) -> bool:
        await connection.arrive()
        if executes:
            connection.execute()
        await connection.send(data)
        return await _end(connection, then)

    return play


def _answer(
    body: str = "good",
    *,
    headers: Sequence[str] = (),
    status: str = "",
    length: int | None = -1,
    first: str = "",
    last: str = "",
    last_after_s: float = 0.0,
    then: str = "keep",
) -> Script:
    """Execute and answer with a body by name; ``first`` and ``last`` are bytes around the answer."""

    async def play(connection: Connection) -> bool:
        request = await connection.arrive()
        connection.execute()
        line = status or answers.status_of(request)
        text = answers.answer(
            answers.body(body, request), *headers, status=line, length=None if length == 0 else length
        )
        if last_after_s:
            await connection.send(text)
            await asyncio.sleep(last_after_s)
            text = b""
        await connection.send(first.encode("latin-1") + text + last.encode("latin-1"))
        return await _end(connection, then)

    return play


def _half_a_body(then: str) -> Script:
    """Announce the whole body and send half of it."""

    async def play(connection: Connection) -> bool:
        request = await connection.arrive()
        connection.execute()
        body = answers.good_body(request)
        text = answers.answer(body[: len(body) // 2], status=answers.status_of(request), length=len(body))
        await connection.send(text)
        connection.server.is_half_way.set()
        return await _end(connection, then)

    return play


def _chunks(texts: Sequence[str] = (), *, then: str = "keep", good: bool = False, at_once: bool = False) -> Script:
    """Send chunks as they stand, or a good body in two of them; after the head, or at once with it."""

    async def play(connection: Connection) -> bool:
        request = await connection.arrive()
        connection.execute()
        head = answers.answer(b"", "Transfer-Encoding: chunked", status=answers.status_of(request), length=None)
        await connection.send(head)
        if not at_once:
            await asyncio.sleep(0.1)
        body = answers.good_body(request)
        pieces = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:])] if good else []
        await connection.send(b"".join([*pieces, *(text.encode("latin-1") for text in texts)]))
        return await _end(connection, then)

    return play


def _endless(status: str = "200 OK") -> Script:
    async def play(connection: Connection) -> bool:
        await connection.arrive()
        if status.startswith("2"):
            connection.execute()
        await connection.send(answers.answer(b"", "Transfer-Encoding: chunked", status=status, length=None))
        while True:
            await connection.send(b"10000\r\n%b\r\n" % (b" " * 65536))

    return play


def _status(
    code: int,
    *,
    headers: Sequence[str] = (),
    body: str = "openapi",
    executes: bool = False,
    length: int = -1,
    clock_jumps_s: float = 0.0,
    then: str = "keep",
) -> Script:
    """Say no; ``{now+7}`` in a header is the date in so many seconds."""

    async def play(connection: Connection) -> bool:
        await connection.arrive()
        if executes:
            connection.execute()
        wall = connection.server.wall
        lines = [_DATE.sub(lambda found: wall.http_date(float(found[1])), line) for line in headers]
        text = answers.answer(
            b"" if code in {204, 304} else _ERROR_BODIES[body], *lines, status=f"{code} Some Words", length=length
        )
        await connection.send(text)
        wall.wrong_by_s += clock_jumps_s
        return await _end(connection, then)

    return play


def _echo(code: int) -> Script:
    """Refuse, with the whole request in the answer's headers and body."""

    async def play(connection: Connection) -> bool:
        request = await connection.arrive()
        said = f"{request.target} {request.headers} ".encode() + request.body
        words = answers.answer(b'{"error": {"type": "x", "details": [%b]}}' % _quoted(said), status=f"{code} No")
        await connection.send(words)
        return True

    return play


def _check_token() -> Script:
    """Refuse any token but the server's."""

    async def play(connection: Connection) -> bool:
        request = await connection.arrive()
        if request.headers.get("authorization") == f"Token {connection.server.token}":
            connection.execute()
            await connection.send(answers.healthy(request))
        else:
            await connection.send(answers.answer(_OPENAPI, status="401 Unauthorized"))
        return True

    return play


def _cancel_with_answer(ticks: int) -> Script:
    """Answer, and have the call cancelled so many turns of the loop later."""

    async def play(connection: Connection) -> bool:
        request = await connection.arrive()
        connection.execute()
        await connection.send(answers.healthy(request))
        for _ in range(ticks):
            await asyncio.sleep(0)
        connection.server.on_answer()
        return True

    return play


def _sequence(steps: Sequence[Mapping[str, Any]], *, goes_on: bool = False) -> Script:
    """Play one script after the other; then the last one again and again, or behave."""
    waiting = [script_of(step["play"], step.get("having", {})) for step in steps]
    last = waiting[-1] if goes_on else answer_well

    async def play(connection: Connection) -> bool:
        return await (waiting.pop(0) if waiting else last)(connection)

    return play


async def _end(connection: Connection, then: str) -> bool:
    if then == "hang":
        await connection.wait_for_end()
    elif then == "reset":
        connection.reset()
    return then == "keep"


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"/").replace(b'"', b"'") + b'"'


SCRIPTS: Final[Mapping[str, Callable[..., Script]]] = {
    "healthy": _healthy,
    "refuse": _healthy,
    "fill the queue": _healthy,
    "close unread": _close_unread,
    "reset unread": _reset_unread,
    "hang unread": _hang_unread,
    "say unread": _say_unread,
    "read some": _read_some,
    "never read": _never_read,
    "answer early": _answer_early,
    "no answer": _no_answer,
    "late": _late,
    "drip": _drip,
    "raw": _raw,
    "answer": _answer,
    "half a body": _half_a_body,
    "chunks": _chunks,
    "endless": _endless,
    "status": _status,
    "echo": _echo,
    "check token": _check_token,
    "cancel with answer": _cancel_with_answer,
    "sequence": _sequence,
}
