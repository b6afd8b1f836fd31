"""What the bodies of writes must hold. Pure; knows no kit and no order."""

from typing import Any

from spotdx_async.testing.routes import NOT_JSON

__all__ = ["BadBodyError", "metadata"]


class BadBodyError(ValueError):
    """A body is not what the operation takes; the message names the field."""


def metadata(body: Any) -> dict[str, Any]:
    """Give the ``metadata`` of a body ``{"metadata": {…}}``.

    Assumed: the documents do not mark it required; a fake that took an update without it would hide a mistake.
    """
    if body is NOT_JSON:
        raise BadBodyError("The body is not JSON")
    if not isinstance(body, dict) or "metadata" not in body:
        raise BadBodyError("metadata: Field is required")
    value = body["metadata"]
    if not isinstance(value, dict):
        raise BadBodyError("metadata: Must be an object")
    return value
