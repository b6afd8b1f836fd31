"""The client's own reference on what it creates, by which an order whose answer never came is found again. Pure."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from spotdx_async._requests.arguments import refuse
from spotdx_async._requests.identity import Echo


def with_reference(
    metadata: Mapping[str, Any] | None, *, key: str | None, reference: str | None, operation: str
) -> tuple[dict[str, Any] | None, str | None]:
    """Return the metadata with its reference, and the reference.

    1. Without a key there is no reference.
    2. A reference passed by the caller is used.
    3. One that is already in the metadata is used.
    4. Otherwise it is a new UUID4.

    Raises:
        InvalidInputError: the reference is not text or is empty, or there are two different ones.
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
        refuse((("client_ref", f"differs from metadata.{key}: pass only one of them"),), operation)
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

    None means unknown: there is no metadata. A server that lost or does not show it answers like that, too.

    Args:
        metadata: from the answer.
        key: of the reference.
        reference: the one to look for.
        is_surely_none: whether missing metadata means False: null, in an object that need not be the call's at all.
    """
    if metadata is None:
        return False if is_surely_none else None
    return key is not None and reference is not None and metadata.get(key) == reference
