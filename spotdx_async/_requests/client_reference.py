"""The client's own reference on what it creates: by it an order is found again whose answer never came. Pure."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from spotdx_async._requests.identity import Echo
from spotdx_async._requests.validation import refuse


def with_reference(
    metadata: Mapping[str, Any] | None, *, key: str | None, reference: str | None, operation: str
) -> tuple[dict[str, Any] | None, str | None]:
    """Return the metadata with its reference, and the reference.

    1. Without a key there is none.
    2. A reference given by the caller is taken.
    3. One that stands in the metadata already is taken.
    4. Otherwise it is a new UUID4.

    Raises:
        InvalidInputError: the reference is no text or empty, or there are two of them.
    """
    values = None if metadata is None else dict(metadata)
    if key is None:
        if reference is not None:
            refuse((("client_ref", "cannot be stored: the client has client_ref_key=None"),), operation)
        return values, None
    values = values or {}
    found = values.get(key) if reference is None else reference
    if found is None:
        found = str(uuid4())
    if not isinstance(found, str) or not found.strip():
        refuse(((f"metadata.{key}" if reference is None else "client_ref", "must be text, and not empty"),), operation)
    if values.get(key) not in (None, found):
        refuse((("client_ref", f"differs from metadata.{key}: give one of them"),), operation)
    return {**values, key: found}, found


def echoes_of(key: str | None, reference: str | None) -> tuple[Echo, ...]:
    """Return where the reference must come back: wherever the answer shows metadata at all."""
    if key is None or reference is None:
        return ()
    return (Echo(("metadata", key), reference, is_due=True),)


def carries(
    metadata: Mapping[str, Any] | None, key: str | None, reference: str | None, *, is_surely_none: bool = False
) -> bool | None:
    """Return whether metadata that came back holds the reference.

    None, which is not no: there is no metadata. A server that has lost it or does not show it answers so, too.

    Args:
        metadata: what came back.
        key: of the reference.
        reference: the one that is looked for.
        is_surely_none: whether no metadata is a no: null, of an object that need not be of the call at all.
    """
    if metadata is None:
        return False if is_surely_none else None
    return key is not None and reference is not None and metadata.get(key) == reference
