"""What the fake remembers: its things by id, accepted tokens, ledgers of what was executed. Pure; knows no rules."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from threading import RLock
from typing import Any, get_args

from spotdx_async.testing.answers import Answer, ErrorForm, error_answer
from spotdx_async.testing.kits import Kits
from spotdx_async.testing.ledgers import Creation, LedgerEntry, Noun, OrderLedgerEntry
from spotdx_async.testing.orders import Orders
from spotdx_async.testing.patients import FakePatient, Patients, Registrations
from spotdx_async.testing.requisitions import AddressForm, Requisitions
from spotdx_async.testing.routes import Call
from spotdx_async.testing.store import Store, stamp

__all__ = ["LedgerEntry", "OrderLedgerEntry", "Some", "World"]

Some = Iterable[str] | int | None
"""The ids of things to start with, or how many to make up; None: examples."""


class World:
    """The fake's memory.

    Attributes:
        lock: held while a request is carried out: the server may do that in another thread than the test's.
        kits: the kits by id.
        kit_types: what "list kit types" answers; may be changed.
        ledger: every executed update of a kit's metadata, in order; empty where ``keep_ledger`` is off.
        orders: the orders by id.
        order_ledger: every executed update of an order's metadata, as ``ledger``.
        requisitions: the requisitions by id.
        patients: the patients by id.
        registrations: the registration tokens that were minted.
        creations: every executed create, as ``ledger``.
        tokens: the tokens that are accepted; may be changed.
        wall: gives the time of day, aware, by which everything is stamped; may be changed.
        states_without_testing: the two letters of the states where nobody may be tested; may be changed.
        activation_requires: the details of a new patient that "activate kit" requires; may be changed. Assumed: which
            they are; the documents say that it depends on the kit type.
        error_form: ``"openapi"`` or ``"guide"``: which of the two documented error bodies it sends.
        address_form: ``"plain"`` or ``"wrapped"``: in which of the two documented forms a requisition has its
            patient's address; may be changed.
    """

    def __init__(
        self,
        *,
        kits: Some = None,
        orders: Some = None,
        requisitions: Some = None,
        patients: Some = None,
        tokens: Iterable[str] = ("test-token",),
        error_form: ErrorForm = "openapi",
        address_form: AddressForm = "plain",
        keep_ledger: bool = True,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        _check_form("error_form", error_form, get_args(ErrorForm))
        _check_form("address_form", address_form, get_args(AddressForm))
        self.lock: AbstractContextManager[Any] = RLock()
        self._keep_ledger = keep_ledger
        self.wall = wall
        self.kits: Kits = Kits(now=self.now)
        self.orders: Orders = Orders(self.kits, now=self.now)
        self.requisitions: Requisitions = Requisitions(now=self.now)
        self.patients: Patients = Patients()
        self._people_it(kits, orders, requisitions, patients)
        self.kit_types: list[str] = ["health_kit_1", "health_kit_2"]
        self.ledger: list[LedgerEntry] = []
        self.order_ledger: list[OrderLedgerEntry] = []
        self.creations: list[Creation] = []
        self.registrations: Registrations = Registrations()
        self.tokens: set[str] = set(tokens)
        self.states_without_testing: set[str] = {"NY"}
        self.activation_requires: tuple[str, ...] = ("first_name", "last_name", "date_of_birth", "sex")
        self.error_form: ErrorForm = error_form
        self.address_form: AddressForm = address_form

    def _people_it(self, kits: Some, orders: Some, requisitions: Some, patients: Some) -> None:
        examples: tuple[tuple[Store[Any], Some, Callable[[], None]], ...] = (
            (self.kits, kits, self.kits.add_default_world),
            (self.orders, orders, lambda: self.orders.add_default_world(self.kits)),
            (self.requisitions, requisitions, self.requisitions.add_default_world),
            (self.patients, patients, self.patients.add_default_world),
        )
        for store, some, add_examples in examples:
            if some is None:
                add_examples()
            else:
                store.add_many(some)

    def now(self) -> str:
        """Give this instant as the API writes it."""
        return stamp(self.wall())

    def today(self) -> date:
        """Give this day, in UTC."""
        return self.wall().astimezone(UTC).date()

    def is_without_testing(self, state: Any) -> bool:
        """Whether nobody in this state, in two letters, may be tested; of a state that is not known it is False."""
        return isinstance(state, str) and state.upper() in self.states_without_testing

    def redeem(self, token: str, kit_id: str | None = None) -> FakePatient:
        """Use a registration token up, as the vendor's page does when the patient comes there.

        Args:
            token: what "create registration token" answered.
            kit_id: the kit that the patient registers there; it takes on the token's kit type, if that has one.

        Returns:
            Whom the token is for.

        Raises:
            ValueError: the token was never given out, has been used or is older than 10 minutes; the patient or the
                kit is not there; or the kit is registered or canceled. The token is not used up then.
        """
        with self.lock:
            registration = self.registrations.look_up(token, at=self.wall())
            patient = self.patients.get(registration.patient_id)
            if patient is None:
                raise ValueError("the patient of this registration token is not among the fake's patients any more")
            if kit_id is not None:
                self._register(kit_id, patient, registration.kit_type)
            registration.is_used = True
            return patient

    def record_update(self, kit_id: str, metadata: dict[str, Any], index: int) -> None:
        """Write an executed update of a kit into the ledger."""
        if self._keep_ledger:
            self.ledger.append(LedgerEntry(kit_id, metadata, index))

    def record_order_update(self, order_id: str, metadata: dict[str, Any], index: int) -> None:
        """Write an executed update of an order into its ledger."""
        if self._keep_ledger:
            self.order_ledger.append(OrderLedgerEntry(order_id, metadata, index))

    def record_creation(self, noun: Noun, an_id: str, call: Call) -> None:
        """Write an executed create into its ledger."""
        if self._keep_ledger:
            self.creations.append(Creation(noun, an_id, call.body, call.index))

    def refuse(self, status: int, *details: str) -> Answer:
        """Answer with an error in this world's form."""
        return error_answer(status, details, self.error_form)

    def not_found(self, noun: str, an_id: Any) -> Answer:
        """Answer that nothing has this id."""
        return self.refuse(404, f"{noun} id {an_id} not found")

    def _register(self, kit_id: str, patient: FakePatient, kit_type: str | None) -> None:
        if kit_id not in self.kits:
            raise ValueError("no kit has this id")
        kit = self.kits[kit_id]
        kit.activate(patient)
        if kit_type is not None:
            kit.document["type"] = kit_type


def _check_form(name: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}")
