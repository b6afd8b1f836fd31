"""The tables of orders: the order, and the kits that were prepared for it."""

from typing import Final

from spotdx_async.models import Order, Recipient
from spotdx_async.tables.cells import instant, json_or_none, json_text, plain, unknown_fields
from spotdx_async.tables.people import address_cells, address_columns
from spotdx_async.tables.schema import Row, Table, key, patient_data, safe

ORDERS = Table(
    name="orders",
    doc="One order.",
    columns=(
        key("order_id", "text", "The order's id, such as ``O1234567``."),
        safe("status", "text", "The order's status; one that the SDK does not know is kept as it came."),
        safe(
            "kit_types",
            "json",
            "The kit types ordered, as a list of texts, a type ordered twice twice; null without any.",
        ),
        safe("created", "instant", "When the order was placed."),
        safe("updated", "instant", "When the order last changed."),
        patient_data("first_name", "text", "The recipient's given name."),
        patient_data("last_name", "text", "The recipient's family name."),
        patient_data("email", "text", "The recipient's e-mail address."),
        patient_data("phone", "text", "The recipient's telephone number."),
        *address_columns("The recipient's"),
        patient_data("metadata", "json", "What is stored with the order; null where nothing is."),
        patient_data(
            "extra",
            "json",
            "Fields of the order that the SDK does not know, as an object; those of the recipient in ``recipient``, "
            "and in it those of the address in ``address``.",
        ),
    ),
    primary_key=("order_id",),
    owner=("order_id",),
    indexes=(("status",), ("updated",)),
)

ORDER_KITS = Table(
    name="order_kits",
    doc="A kit that was prepared for an order.",
    columns=(
        key("order_id", "text", "The order's id."),
        key("seq", "integer", "The position among the order's kits, from 0, in the server's order."),
        safe("kit_id", "text", "The kit's id; its rows are in the tables of kits."),
        safe("type", "text", "The kit's type."),
        safe("status", "text", "The kit's status as the order shows it; the row in ``kits`` may be newer."),
    ),
    primary_key=("order_id", "seq"),
    owner=("order_id",),
    indexes=(("kit_id",),),
)


def order_rows(order: Order, *, phi: bool = False) -> dict[str, list[Row]]:
    """Return the rows of an order, by table: ``orders`` and ``order_kits``.

    Its kits' own rows are those of ``kit_rows``. The rows are in the server's order, and the same for an equal order.

    Args:
        order: the order.
        phi: whether to fill in the columns of patient data; without it they are None.

    Raises:
        InvalidInputError: with ``phi``, a model that you built yourself holds what has no JSON form.
    """
    order_id = order.order_id
    kits: list[Row] = [(order_id, seq, kit.kit_id, kit.type, plain(kit.status)) for seq, kit in enumerate(order.kits)]
    return {
        "orders": ORDERS.shown([_order_row(order, phi=phi)], phi=phi),
        "order_kits": ORDER_KITS.shown(kits, phi=phi),
    }


def _order_row(order: Order, *, phi: bool) -> Row:
    row = (
        order.order_id,
        plain(order.status),
        json_or_none(order.kit_types),
        instant(order.created),
        instant(order.updated),
    )
    return (*row, *(_patient_data(order) if phi else (None,) * 12))


_NOBODY: Final = Recipient(first_name=None, last_name=None, email=None, phone=None, address=None)


def _patient_data(order: Order) -> Row:
    person = order.recipient or _NOBODY
    extra = unknown_fields(order, recipient=unknown_fields(person, address=unknown_fields(person.address)))
    return (
        *(person.first_name, person.last_name, person.email, person.phone),
        *address_cells(person.address),
        None if order.metadata is None else json_text(order.metadata),
        json_or_none(extra),
    )
