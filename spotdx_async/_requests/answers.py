"""What the answer to an operation is decoded to: a model, a list, or a page of a list with the server's time."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar, get_args, get_origin

from attrs import field, frozen

from spotdx_async._codec import codec
from spotdx_async._codec.codec import BadItem
from spotdx_async._http import clock
from spotdx_async._http.messages import Reply
from spotdx_async.errors import DecodeError

T = TypeVar("T")


@frozen
class ServerClock:
    """What an answer says about the server's clock."""

    now: datetime
    """Its time when it answered, cut to whole seconds; timezone-aware, UTC."""
    ahead: timedelta
    """How far it is ahead of the local clock, to within a second plus the time that the answer took."""


@frozen
class ListPage(Generic[T]):
    """One page of a list."""

    items: tuple[T | BadItem, ...] = field(repr=False)
    clock: ServerClock | None
    """The server's clock; None if the answer has no date."""
    is_from_cache: bool = False
    """Whether it came from a cache, so that it may be out of date."""


def decoder_of(answer: type[T]) -> Callable[[Reply], T]:
    """Return the function that decodes an answer of this type: a model, ``list[str]`` or ``ListPage[model]``."""
    decode: Any
    if get_origin(answer) is ListPage:
        decode = partial(_decode_page, *get_args(answer))
    elif get_origin(answer) is list:
        decode = partial(_decode_list, *get_args(answer))
    else:
        return codec.decoder(answer)
    return decode  # type: ignore[no-any-return]  # it has the type that the two above handle


def decode_page_with_texts(answer: type[ListPage[T]], reply: Reply) -> tuple[ListPage[T], tuple[bytes, ...]]:
    """Decode a page; return with it a text of each row, by which it is recognised.

    Raises:
        DecodeError: it is no list.
    """
    items, texts = codec.decode_rows(reply.body, *get_args(answer))
    return _page_of(items, reply), texts


def _decode_page(item_type: type[T], reply: Reply) -> ListPage[T]:
    return _page_of(codec.decode_items(reply.body, item_type), reply)


def _page_of(items: tuple[T | BadItem, ...], reply: Reply) -> ListPage[T]:
    return ListPage(items, server_clock(reply.headers, clock.wall()), is_from_cache(reply.headers))


def _decode_list(item_type: type[T], reply: Reply) -> list[T]:
    return [*codec.decode(reply.body, tuple[item_type, ...])]  # type: ignore[valid-type]  # a type at run time


def server_clock(headers: Mapping[str, Any], local_now: datetime) -> ServerClock | None:
    """Read the ``Date`` of an answer that has just come; None if there is none."""
    now = clock.http_date(headers.get("Date"))
    return None if now is None else ServerClock(now, now - local_now)


def is_from_cache(headers: Mapping[str, Any]) -> bool:
    """Return whether an answer came from a cache that says so by an ``Age`` other than 0 (RFC 9111, section 5.1)."""
    return any(name.lower() == "age" and value.strip().strip("0") != "" for name, value in headers.items())


def from_cache_error() -> DecodeError:
    """Build the error of an answer that cannot prove the absence of anything, since it came from a cache."""
    message = "the answer came from a cache, since it has an Age, so it may not show what was executed since"
    return DecodeError(message, outcome="done")
