"""The fake API without a network: what it remembers, whom it admits, what it answers. Pure.

To add an operation, write it as a function of the state and the call beside the others of its noun, with its ``Route``.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from threading import RLock
from typing import Any, Never, get_args
from urllib.parse import parse_qsl

from spotdx_async.testing.answers import Answer, ErrorForm, error_answer
from spotdx_async.testing.bodies import BadBodyError
from spotdx_async.testing.kits import KIT_ROUTES, Kits
from spotdx_async.testing.listing import BadQueryError
from spotdx_async.testing.orders import ORDER_ROUTES, Orders
from spotdx_async.testing.patients import PATIENT_ROUTES, FakePatient, Patients, Registrations
from spotdx_async.testing.records import Creation, Creations, LedgerEntry, Noun, OrderLedgerEntry
from spotdx_async.testing.report_files import FILE_ROUTES, ReportFiles
from spotdx_async.testing.requisitions import REQUISITION_ROUTES, AddressForm, Requisitions
from spotdx_async.testing.routes import NOT_JSON, Call, RouteTable
from spotdx_async.testing.store import NotFoundError, Store, seconds_now, stamp

ROUTES = (*KIT_ROUTES, *ORDER_ROUTES, *REQUISITION_ROUTES, *PATIENT_ROUTES)
"""The operations that the fake plays: the contract's rows."""
OPERATIONS: Mapping[str, tuple[str, str]] = {route.operation: (route.method, route.template) for route in ROUTES}
"""The method and path template of each operation, by the call of the client that sends it."""

Some = Iterable[str] | int | None
"""The ids of the items to start with, or how many to make up; None for examples."""

_SCHEME = "Token "


class SpotState:
    """The fake's memory, and what it answers to a call.

    Attributes:
        lock: held while a request is executed, since the server may do that in another thread than the test's.
        kits: the kits by id.
        kit_types: what "list kit types" answers; may be changed.
        ledger: every executed update of a kit's metadata, in order; empty where ``keep_ledger`` is off.
        orders: the orders by id.
        order_ledger: the same as ``ledger`` for updates of an order's metadata.
        requisitions: the requisitions by id.
        patients: the patients by id.
        registrations: the registration tokens that were issued.
        report_files: the files that the links of reports lead to.
        creations: the same as ``ledger`` for creates.
        tokens: the tokens that are accepted; may be changed.
        wall: returns the time of day, aware, by which everything is stamped; may be changed.
        stamps_ahead_s: how many seconds the clock that stamps everything is ahead of ``wall``; may be changed.
        day_offset: how far the zone in which lists count days is ahead of UTC; may be changed.
        elapsed_s: returns the seconds by which lags are counted and creates are timed: those of a server's loop.
        states_without_testing: the two-letter codes of the states whose residents may not be tested; may be changed.
        activation_requires: the details of a new patient that "activate kit" requires; may be changed. Assumed: which
            they are; the documents say that it depends on the kit type.
        error_form: ``"openapi"`` or ``"guide"``: which of the two documented error bodies it sends.
        address_form: ``"plain"`` or ``"wrapped"``: in which of the two documented forms a requisition has its
            patient's address; may be changed.
    """

    _table = RouteTable((*ROUTES, *FILE_ROUTES))

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
        self.stamps_ahead_s: float = 0.0
        self.day_offset: timedelta = timedelta()
        self.elapsed_s: Callable[[], float] = seconds_now
        self.report_files: ReportFiles = ReportFiles()
        self.kits: Kits = Kits(now=self.now)
        self.orders: Orders = Orders(self.kits, now=self.now)
        self.requisitions: Requisitions = Requisitions(now=self.now)
        for listed in (self.kits, self.orders, self.requisitions):
            listed.elapsed_s = self.elapsed
            listed.report_files = self.report_files
        self.patients: Patients = Patients(now=self.now)
        _fill(self.kits, kits, self.kits.add_default_world)
        _fill(self.orders, orders, lambda: self.orders.add_default_world(self.kits))
        _fill(self.requisitions, requisitions, self.requisitions.add_default_world)
        _fill(self.patients, patients, self.patients.add_default_world)
        self.kit_types: list[str] = ["health_kit_1", "health_kit_2"]
        self.ledger: list[LedgerEntry] = []
        self.order_ledger: list[OrderLedgerEntry] = []
        self.creations: Creations = Creations()
        self.registrations: Registrations = Registrations()
        self.tokens: set[str] = set(tokens)
        self.states_without_testing: set[str] = {"NY"}
        self.activation_requires: tuple[str, ...] = ("first_name", "last_name", "date_of_birth", "sex")
        self.error_form: ErrorForm = error_form
        self.address_form: AddressForm = address_form

    def read(self, method: str, target: str, body: bytes = b"", *, index: int = 0) -> Call:
        """Parse a request into its route, ids, query and JSON.

        Args:
            method: the HTTP method.
            target: path and query as they stand on the request line.
            body: the bytes that came.
            index: the position of the request among all that arrived.
        """
        path, _, query = target.partition("?")
        route, params = self._table.find(method, path)
        pairs = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        return Call(method, path, route, params, pairs, _parse(body), index)

    def admits(self, authorization: str | None) -> bool:
        """Return whether an ``Authorization`` header is the word Token, one space and an accepted token."""
        return authorization is not None and (
            authorization.startswith(_SCHEME) and authorization[len(_SCHEME) :] in self.tokens
        )

    def execute(self, call: Call, authorization: str | None) -> Answer:
        """Carry the call out, or refuse it: first by 401, then by 404 for an unknown path or method, then by its rules.

        A rule that raises has changed nothing yet.
        """
        is_open = call.route in FILE_ROUTES and not self.report_files.needs_token
        if not is_open and not self.admits(authorization):
            return self.refuse(401, "Authentication credentials were not provided or are not valid")
        if call.route is None:
            return self.refuse(404, f"No operation {call.method} {call.path} (a slash too many or too few?)")
        try:
            return self.report_files.with_links(call.route.handler(self, call))
        except (BadBodyError, BadQueryError) as error:
            return self.refuse(400, *error.args)
        except NotFoundError as error:
            return self.refuse(404, *error.args)

    def elapsed(self) -> float:
        """Return what ``elapsed_s`` does now."""
        return self.elapsed_s()

    def instant(self) -> datetime:
        """Return this instant by the clock that stamps everything."""
        return self.wall() + timedelta(seconds=self.stamps_ahead_s)

    def now(self) -> str:
        """Return this instant as the API writes it."""
        return stamp(self.instant())

    def today(self) -> date:
        """Return the current day in UTC."""
        return self.instant().astimezone(UTC).date()

    def is_without_testing(self, home: Any) -> bool:
        """Return whether residents of this state, in two letters, may not be tested; False where it is unknown."""
        return isinstance(home, str) and home.upper() in self.states_without_testing

    def redeem(self, token: str, kit_id: str | None = None) -> FakePatient:
        """Use a registration token up, as the vendor's page does for the patient.

        Args:
            token: what "create registration token" answered.
            kit_id: the kit that the patient registers there; it takes on the token's kit type, if that has one.

        Returns:
            The patient the token is for.

        Raises:
            ValueError: the token was never issued, has been used or is older than 10 minutes; the patient or the kit
                is unknown; or the kit is registered or canceled. The token is then not used up.
        """
        with self.lock:
            registration = self.registrations.look_up(token, at=self.instant())
            patient = self.patients.get(registration.patient_id)
            if patient is None:
                raise ValueError("the patient of this registration token is not among the fake's patients any more")
            if kit_id is not None:
                self._register(kit_id, patient, registration.kit_type)
            registration.is_used = True
            return patient

    def record_update(self, kit_id: str, metadata: dict[str, Any], index: int) -> None:
        """Enter an executed update of a kit in the ledger."""
        if self._keep_ledger:
            self.ledger.append(LedgerEntry(kit_id, metadata, index))

    def record_order_update(self, order_id: str, metadata: dict[str, Any], index: int) -> None:
        """Enter an executed update of an order in its ledger."""
        if self._keep_ledger:
            self.order_ledger.append(OrderLedgerEntry(order_id, metadata, index))

    def record_creation(self, noun: Noun, an_id: str, call: Call) -> None:
        """Enter an executed create in its ledger."""
        if self._keep_ledger:
            self.creations.append(Creation(noun, an_id, call.body, call.index, self.elapsed()))

    def refuse(self, status: int, *details: str) -> Answer:
        """Answer with an error in the chosen form."""
        return error_answer(status, details, self.error_form)

    def _register(self, kit_id: str, patient: FakePatient, kit_type: str | None) -> None:
        if kit_id not in self.kits:
            raise ValueError("no kit has this id")
        kit = self.kits[kit_id]
        kit.activate(patient)
        if kit_type is not None:
            kit.document["type"] = kit_type


class StateView:
    """The state as the server shows it to a test, and the server's one token."""

    def __init__(self, state: SpotState, token: str) -> None:
        self.state = state
        self._token = token
        self.accepted_tokens: set[str] = state.tokens
        """All tokens that are accepted now; may be changed."""
        self.kits: Kits = state.kits
        """The kits by id."""
        self.ledger: list[LedgerEntry] = state.ledger
        """Every executed update of a kit's metadata, in order."""
        self.orders: Orders = state.orders
        """The orders by id."""
        self.order_ledger: list[OrderLedgerEntry] = state.order_ledger
        """Every executed update of an order's metadata, in order."""
        self.requisitions: Requisitions = state.requisitions
        """The requisitions by id."""
        self.patients: Patients = state.patients
        """The patients by id."""
        self.creations: Creations = state.creations
        """Every executed create, in order: what must not happen twice."""
        self.report_files: ReportFiles = state.report_files
        """The files that the links of reports lead to."""

    @property
    def stamps_ahead_s(self) -> float:
        """How many seconds the clock that stamps everything (``created``, events, tokens) is ahead of ``wall``.

        The ``Date`` of answers has ``date_ahead_s`` for itself.

        Raises:
            ValueError: it is set to something that is no finite number.
        """
        return self.state.stamps_ahead_s

    @stamps_ahead_s.setter
    def stamps_ahead_s(self, seconds: float) -> None:
        self.state.stamps_ahead_s = _finite("stamps_ahead_s", seconds)

    @property
    def day_offset_hours(self) -> float:
        """How far the zone in which the filters of lists by date count their days is ahead of UTC.

        Raises:
            ValueError: it is set to something that is no finite number.
        """
        return self.state.day_offset.total_seconds() / 3600

    @day_offset_hours.setter
    def day_offset_hours(self, hours: float) -> None:
        self.state.day_offset = timedelta(hours=_finite("day_offset_hours", hours))

    def lag_lists(self, seconds: float) -> None:
        """Let every list lag behind: the same as setting ``list_lag_s`` of kits, orders and requisitions; 0 ends it.

        Raises:
            ValueError: it is not a number, 0 or more.
        """
        with self.state.lock:
            for store in (self.kits, self.orders, self.requisitions):
                store.list_lag_s = seconds

    @property
    def token(self) -> str:
        """The token to use; setting it rotates it: the old one is refused from then on."""
        return self._token

    @token.setter
    def token(self, token: str) -> None:
        with self.state.lock:
            self.state.tokens.discard(self._token)
            self.state.tokens.add(token)
            self._token = token

    def redeem(self, token: str, kit_id: str | None = None) -> FakePatient:
        """Use a registration token up, as the vendor's page does: see ``SpotState.redeem``."""
        return self.state.redeem(token, kit_id)


def _fill(store: Store[Any], some: Some, add_examples: Callable[[], None]) -> None:
    if some is None:
        add_examples()
    else:
        store.add_many(some)


def _finite(name: str, given: float) -> float:
    if not math.isfinite(given):
        raise ValueError(f"{name} must be a finite number")
    return given


def _check_form(name: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}")


def _refuse_constant(_: str) -> Never:
    raise ValueError("NaN and the infinities are no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _parse(body: bytes) -> Any:
    if not body:
        return None
    try:
        return _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        return NOT_JSON
