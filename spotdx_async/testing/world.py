"""What the fake remembers: kits, kit types, orders, accepted tokens and the ledgers of writes. Pure; knows no rules."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from spotdx_async.testing.answers import Answer, ErrorForm, error_answer
from spotdx_async.testing.fake_kits import Kits
from spotdx_async.testing.fake_orders import Orders
from spotdx_async.testing.instants import stamp

__all__ = ["LedgerEntry", "OrderLedgerEntry", "World"]

_ERROR_FORMS = ("openapi", "guide")


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One executed update of a kit's metadata."""

    kit_id: str
    metadata: dict[str, Any] = field(repr=False)
    """The value that the update set."""
    index: int
    """The place of its request in ``requests``."""


@dataclass(frozen=True, slots=True)
class OrderLedgerEntry:
    """One executed update of an order's metadata."""

    order_id: str
    metadata: dict[str, Any] = field(repr=False)
    """The value that the update set."""
    index: int
    """The place of its request in ``requests``."""


class World:
    """The fake's memory.

    Attributes:
        kits: the kits by id.
        kit_types: what "list kit types" answers; may be changed.
        ledger: every executed update of a kit's metadata, in order; empty where ``keep_ledger`` is off.
        orders: the orders by id.
        order_ledger: every executed update of an order's metadata, as ``ledger``.
        tokens: the tokens that are accepted; may be changed.
        error_form: ``"openapi"`` or ``"guide"``: which of the two documented error bodies it sends.
    """

    def __init__(
        self,
        *,
        kits: Iterable[str] | int | None = None,
        orders: Iterable[str] | int | None = None,
        tokens: Iterable[str] = ("test-token",),
        error_form: ErrorForm = "openapi",
        keep_ledger: bool = True,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if error_form not in _ERROR_FORMS:
            raise ValueError(f"error_form must be one of {', '.join(_ERROR_FORMS)}")
        self.kits = Kits()
        if kits is None:
            self.kits.add_default_world()
        else:
            self.kits.add_many(kits)
        self.orders = Orders()
        if orders is None:
            self.orders.add_default_world(self.kits)
        else:
            self.orders.add_many(orders)
        self.kit_types = ["health_kit_1", "health_kit_2"]
        self.ledger: list[LedgerEntry] = []
        self.order_ledger: list[OrderLedgerEntry] = []
        self.tokens = set(tokens)
        self.error_form: ErrorForm = error_form
        self._keep_ledger = keep_ledger
        self._wall = wall

    def now(self) -> str:
        """Give this instant as the API writes it."""
        return stamp(self._wall())

    def enter(self, kit_id: str, metadata: dict[str, Any], index: int) -> None:
        """Write an executed update of a kit into the ledger."""
        if self._keep_ledger:
            self.ledger.append(LedgerEntry(kit_id, metadata, index))

    def enter_order(self, order_id: str, metadata: dict[str, Any], index: int) -> None:
        """Write an executed update of an order into its ledger."""
        if self._keep_ledger:
            self.order_ledger.append(OrderLedgerEntry(order_id, metadata, index))

    def refuse(self, status: int, detail: str) -> Answer:
        """Answer with an error in this world's form."""
        return error_answer(status, detail, self.error_form)
