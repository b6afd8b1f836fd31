"""The operations by the client's words for them, such as ``kits.get``, so that tests need not write paths. Pure."""

from collections.abc import Mapping

__all__ = ["OPERATIONS", "operation_named", "title_of"]

OPERATIONS: Mapping[str, tuple[str, str]] = {
    "kits.update_metadata": ("POST", "/api/v2/kits/{kit_id}/"),
    "kits.get": ("GET", "/api/v2/kits/{kit_id}/"),
    "kits.list": ("GET", "/api/v2/kits/"),
    "kits.types": ("GET", "/api/v2/kit_types"),
    "kits.activate": ("POST", "/api/v3/kits/{kit_id}/activate/"),
    "orders.create": ("POST", "/api/v2/orders/"),
    "orders.list": ("GET", "/api/v2/orders/"),
    "orders.update_metadata": ("POST", "/api/v2/orders/{order_id}/"),
    "orders.get": ("GET", "/api/v2/orders/{order_id}/"),
    "requisitions.create": ("POST", "/api/v2/requisitions/"),
    "requisitions.get": ("GET", "/api/v2/requisitions/{requisition_id}"),
    "requisitions.list": ("GET", "/api/v2/requisitions/"),
    "patients.create": ("POST", "/api/v2/patients/"),
    "registration_tokens.create": ("POST", "/api/v2/tokens/patient_registration/"),
}
"""The method and path template of each operation, by the call of the client that sends it."""


def operation_named(name: object) -> tuple[str, str]:
    """Give an operation's method and path template.

    Args:
        name: a key of ``OPERATIONS``, or method and path template as errors show them.

    Raises:
        ValueError: there is no such operation; the message lists them.
    """
    if isinstance(name, str):
        row = OPERATIONS.get(name) or tuple(name.split(" ", 1))
        if row in OPERATIONS.values():
            return row[0], row[1]
    raise ValueError(
        f"unknown operation {name!r}: use one of {', '.join(OPERATIONS)}, or method and path template as in "
        "'GET /api/v2/kits/{kit_id}/'"
    )


def title_of(method: str, template: str | None) -> str:
    """Give how a message names an operation: never a path as sent, which holds ids."""
    if template is None:
        return f"{method} of a path that no operation has"
    names = [name for name, row in OPERATIONS.items() if row == (method, template)]
    return f"{method} {template} ({names[0]})"
