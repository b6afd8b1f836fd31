"""Whether a 2xx is the answer to its request, judged by the operation's identity rules. Pure; shows nothing of it."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from spotdx_async._codec import codec
from spotdx_async._codec.json import NotJsonError, is_surely_whole, parse_exact
from spotdx_async._http.messages import Action, Reply, Request, Verdict
from spotdx_async._http.verdict import judge_decode_error
from spotdx_async._requests.identity import Form, Identity, Keys, is_what_was_sent, may_show_another, tidied
from spotdx_async.errors import DecodeError, WrongAnswerError
from spotdx_async.models.model import Model

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_OBJECT, _ACCEPT = Form.OBJECT, Action.ACCEPT


def decoded(request: Request, reply: Reply, decode: Callable[[Reply], Any]) -> Verdict:
    """Judge a 2xx by its content: whether it answers this very request, and can be decoded."""
    identity = request.identity
    if identity is not None and reply.body.startswith(identity.unfit):
        return judge_decode_error(request, reply, _unidentified(identity, "it is not an object"))
    try:
        value = decode(reply)
    except DecodeError as raised:
        error = raised.with_traceback(None)  # the frames hold the whole answer
        if identity is not None and error.outcome == "done":
            error = _fault_of_other_shape(request, identity, error.raw) or error
        return judge_decode_error(request, reply, error)
    fault = None if identity is None else fault_of(request, identity, reply.body, value)
    return Verdict(_ACCEPT, value) if fault is None else judge_decode_error(request, reply, fault)


def fault_of(request: Request, identity: Identity, body: bytes, value: Any) -> DecodeError | None:
    """Return what is wrong with an answer that could be decoded; None if it is the one that was asked for.

    Args:
        request: what was sent.
        identity: how answers of its operation are recognised.
        body: the answer.
        value: what it was decoded to: if that is not a model, the body is examined.
    """
    if value is None:
        # Looking for metadata where the contract has none would take 6 kI of a row's 400 (callgrind), so it is skipped.
        if _begins_with_id(request, identity, body) and not (
            identity.shows_metadata and request.body is not None and may_show_another(request.body, body)
        ):
            return None
    elif isinstance(value, Model):
        # Most calls: compare the id by one attribute; there is nothing of a create to compare.
        if identity.is_asked_for and getattr(value, identity.id_keys[0], None) == request.an_id:
            return _fault_of_metadata(request, identity, value) if identity.shows_metadata or value.extra else None
        return _fault_of_object(request, identity, value)
    elif identity.form is not _OBJECT:
        return _fault_of_rows(identity, value)
    try:
        raw = parse_exact(body)
    except NotJsonError:
        return DecodeError("the text is not JSON", outcome="unknown")
    return _fault_of_object(request, identity, raw)


def _fault_of_other_shape(request: Request, identity: Identity, raw: Any) -> DecodeError | None:
    """Return what is wrong with JSON that does not fit its model; None if it is the right answer all the same.

    Args:
        request: what was sent.
        identity: how answers of its operation are recognised.
        raw: the JSON, parsed.
    """
    if identity.form is _OBJECT:
        return _fault_of_object(request, identity, raw)
    return _unidentified(identity, "a list is missing")


def _begins_with_id(request: Request, identity: Identity, body: bytes) -> bool:
    """Return whether the text certainly is an object with the requested id: first key, not repeated, and complete.

    Unparsed: parsing takes 77 kI of a row's 515, this takes 44 (callgrind). False only means that it must be parsed.
    """
    an_id, opening = request.an_id, identity.opening
    if an_id is None or '"' in an_id or not opening or not body.startswith(opening):
        return False
    wanted = b'"%b"' % an_id.encode()
    size = len(opening)
    return (
        (body.startswith(wanted, size) or (body.startswith(b" ", size) and body.startswith(wanted, size + 1)))
        and body.find(identity.quoted_key, size) < 0
        and is_surely_whole(body)
    )


def _fault_of_object(request: Request, identity: Identity, value: Any) -> DecodeError | None:
    found = _text_at(value, identity.id_keys)
    echoes = request.echoes
    if found is None:
        telling = [echo for echo in echoes if echo.is_enough]
        if not telling or any(_text_at(value, echo.keys) is None for echo in telling):
            return _unidentified(identity, f"{'.'.join(identity.id_keys)} is missing")
    elif identity.is_asked_for and not _same(found, request.an_id, ignores_case=identity.ignores_case):
        return _wrong(identity.id_keys)
    for echo in echoes:
        came = _text_at(value, echo.keys)
        if came is None:
            if echo.is_due and _at(value, echo.keys[:-1]) is not None:
                return _unidentified(identity, f"{echo.keys[0]} does not hold the reference that was sent")
        elif not _same(came, echo.text, ignores_case=echo.ignores_case):
            if not echo.may_be_cut or not _begins(echo.text, came):
                return _wrong(echo.keys[:1])
            if any(_text_at(value, other.keys) is None for other in echoes if other.is_enough):
                return _unidentified(identity, f"{echo.keys[0]} is only the beginning of the one that was sent")
    return _fault_of_metadata(request, identity, value)


def _fault_of_metadata(request: Request, identity: Identity, value: Any) -> DecodeError | None:
    """Return what is wrong with the answer to an update: it shows other metadata than was sent.

    It may be the answer to an earlier update, so nobody knows what became of this one. Null, or anything that is not an
    object, does not count as metadata: a server that does not show metadata answers like that, too.
    """
    if not identity.sets_metadata:
        return None
    is_unnamed = isinstance(value, Model) and not identity.shows_metadata
    shown = _at(value.extra if is_unnamed else value, ("metadata",))
    if not isinstance(shown, Mapping) or request.body is None or is_what_was_sent(request.body, shown):
        return None
    message = "the answer does not show that it belongs to this request: its metadata is not what was sent"
    return DecodeError(message, path="metadata", outcome="unknown")


def _fault_of_rows(identity: Identity, value: Any) -> DecodeError | None:
    """Return what is wrong with a list that has rows, but none with the list's key. The caller checks single rows."""
    if identity.form is not Form.ROWS or not value.items:
        return None
    (key,) = identity.id_keys
    if any(_has_key(item, key) for item in value.items):
        return None
    return _unidentified(identity, f"no row has {key}")


def _has_key(item: Any, key: str) -> bool:
    if isinstance(item, codec.BadItem):
        raw = item.error.raw
        return isinstance(raw, dict) and key in raw
    return getattr(item, key) is not None or codec.has_come_as_null(item, key)


def _at(value: Any, keys: Keys) -> Any:
    """Return what a model or JSON holds under these keys; None if there is nothing."""
    for key in keys:
        if isinstance(value, Model):
            value = getattr(value, key, None)
        elif isinstance(value, Mapping):
            value = value.get(key)
        else:
            return None
    return value


def _text_at(value: Any, keys: Keys) -> str | None:
    """Return the text under these keys; None for nothing, for an empty text, and for anything but a plain value."""
    found = _at(value, keys)
    if found is None or isinstance(found, bool) or not isinstance(found, (str, int, date)):
        return None
    text = found.isoformat() if isinstance(found, date) else str(found)
    return text if text.strip() else None


def _same(one: str, other: str | None, *, ignores_case: bool) -> bool:
    if one == other or not ignores_case or other is None:
        return one == other
    one, other = tidied(one), tidied(other)
    return one == other or (_DAY.fullmatch(other) is not None and one.startswith(f"{other}t"))  # with a time of day


def _begins(whole: str, cut: str) -> bool:
    start = tidied(cut)
    return bool(start) and tidied(whole).startswith(start)


def _unidentified(identity: Identity, why: str) -> DecodeError:
    message = f"the answer does not show that it belongs to this request: {why}"
    return DecodeError(message, path=".".join(identity.id_keys), outcome="unknown")


def _wrong(keys: Keys) -> WrongAnswerError:
    where = ".".join(keys)
    message = f"the answer is for a different object than requested: {where} differs, so it is not passed on"
    return WrongAnswerError(message, path=where, outcome="unknown")
