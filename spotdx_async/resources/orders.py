"""Orders: placing them, finding out whether one was placed, their state, their list and their metadata."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from datetime import date, datetime
from functools import cache, partial
from typing import Any, Unpack

from attrs import evolve

from spotdx_async._codec import codec
from spotdx_async._http import clock
from spotdx_async._http.messages import Request
from spotdx_async._http.runner import Runner
from spotdx_async._observe.scrub import Prepared, scrubs_traceback, scrubs_traceback_of_call
from spotdx_async._requests.answers import ListPage
from spotdx_async._requests.arguments import refuse
from spotdx_async._requests.client_reference import carries, echoes_of, with_reference
from spotdx_async._requests.filters import PAGING, ListFilters
from spotdx_async._requests.identity import any_id, id_asked_for, rows_with, tidied
from spotdx_async._requests.operation import Operation, metadata_body
from spotdx_async._requests.validation import ORDER, checked
from spotdx_async.errors import Clue, DecodeError, OutcomeUnknownError
from spotdx_async.models import NewOrder, Order, OrderStatus, OrderSummary, Recipient
from spotdx_async.pagination import Listing, OnBadItem, Pages
from spotdx_async.resources import lazy

__all__ = ["OPERATIONS", "OrderFilters", "Orders"]


class OrderFilters(ListFilters, total=False):
    """The filters of ``orders.list``: those of ListFilters, and this one."""

    status: OrderStatus | str | None
    """One of OrderStatus, or another word that the server knows."""


CREATE = Operation("POST", "/api/v2/orders/", is_replay_safe=False, answer=Order, identity=any_id("order_id"))
UPDATE_METADATA = Operation(
    "POST",
    "/api/v2/orders/{order_id}/",
    is_replay_safe=True,
    answer=Order,
    identity=id_asked_for("order_id", sets_metadata=True, shows_metadata=True),
)
GET = Operation(
    "GET", "/api/v2/orders/{order_id}/", is_replay_safe=True, answer=Order, identity=id_asked_for("order_id")
)
LIST = Operation(
    "GET",
    "/api/v2/orders/",
    is_replay_safe=True,
    answer=ListPage[OrderSummary],
    query=(*PAGING, *OrderFilters.__annotations__),
    identity=rows_with("order_id"),
)
OPERATIONS = (CREATE, UPDATE_METADATA, GET, LIST)
"""Source: the order endpoints of the vendor's API reference, version 2."""


class Orders:
    """Operations on orders. Reached as ``spot.orders``."""

    def __init__(self, runner: Runner, client_ref_key: str | None) -> None:
        self._runner = runner
        self._client_ref_key = client_ref_key

    @scrubs_traceback_of_call
    def create(self, order: NewOrder, *, client_ref: str | None = None) -> Prepared[Order]:
        """Place an order, which ships a parcel, and return it: pending, without kits yet.

        It is placed at most once: nothing is repeated that may have been executed. So that it can be found again, its
        metadata gets a reference under the client's ``client_ref_key``; a caller that may be cancelled, or die, should
        pass its own and keep it.

        Args:
            order: checked as a whole before anything is sent.
            client_ref: the reference; None: the one in the metadata, else a new UUID4.

        Raises:
            InvalidInputError: the order or the reference is wrong; ``faults`` lists all faults; nothing was sent.
            BadRequestError: the server found the order wrong; ``details`` says what. It was not placed.
            DecodeError: with ``outcome == "done"`` the order is placed and its answer has another shape.
            OutcomeUnknownError: sent, and no usable answer: call ``reconcile`` before placing it again.
            SpotError: any other, as the error tree says.
        """
        request = _creation(order, self._runner, self._client_ref_key, client_ref)
        return partial(self._runner.call, request, CREATE.decode)

    @scrubs_traceback
    def create_many(
        self,
        rows: "Iterable[lazy.OrderCreateRow] | AsyncIterable[lazy.OrderCreateRow]",
        *,
        batch: str,
        **options: "Unpack[lazy.CreateOptions]",
    ) -> "lazy.BulkRun[Order]":
        """Place very many orders, each at most once; yields one Outcome for every row, in flat memory.

        The key of a row is your own, such as a primary key. Its reference, in the order's metadata, is a UUID5 of batch
        and key, so that the same row of the same batch has the same reference for ever; one of your own, in the
        metadata, goes before it. Use the run as a context manager, as ``spot.kits.update_metadata_many`` shows.

        Before a request leaves, its row is in the journal, and that on the disk. A row whose answer did not come, or
        that a killed session was about to send, is in doubt, and never sent again before it is settled: when
        ``lands_within_s`` has passed since it was sent (and 10 s, in case the list is late), one scan of the orders
        placed since settles all such rows, while others go on. Found: ``ok``, with the order. Not found, and the same
        scan shows the newest orders that this batch has surely placed, with their references: sent again, with the same
        one. Else ``unknown``, once nothing else goes on (or no row came for ten minutes): the same call looks again.

        So nothing is placed twice as long as (1) a request lands within ``lands_within_s`` or not at all, (2) the list
        shows what was placed, (3) the metadata comes back, (4) the journal and its disk keep what was synced, and (5)
        one batch name stands for one set of rows. Where the run cannot see (2) or (3), rows end ``unknown``. At its end
        it looks for orders with the same reference: see ``duplicates`` of the run.

        The same call resumes. Rows are known by their keys, whatever their order: those that are done come out
        ``skipped`` with their ``object_id``, or ``rejected`` if their content changed; those that failed or were
        rejected are tried again.

        Args:
            rows: ``(key, NewOrder)`` or ``NewOrderRow``, from an iterable or an async one. An ``InvalidRow``, or an
                ``InvalidInputError``, marks a row already known to be bad. Of two rows with one key the second is
                ``rejected``.
            batch: a name of yours for these rows; the journal belongs to it.
            **options: any of CreateOptions; ``journal`` must be passed.

        Raises:
            InvalidInputError: at once, if ``rows``, ``batch`` or an option is unusable; a bad row is an outcome.
            ConfigError: at once, if the client has ``client_ref_key=None``.
            JournalError: from the loop, before anything is sent, if the journal is another run's, a newer version's, in
                use or damaged.
            BulkStopped: from the loop, after a problem that every further row would meet, a journal that cannot be
                written among them: nothing more was sent then.
            BaseException: whatever the input, a hook or ``progress`` raises, after the outcomes of all rows read.
        """
        key = lazy.checked_key(self._client_ref_key, "orders.create_many")
        creation: lazy.Creation[Order] = lazy.Creation(
            noun="order",
            row_type=lazy.NewOrderRow,
            request_of=lambda order, reference: _creation(order, self._runner, key, reference),
            client_ref_key=key,
            id_of=lambda order: order.order_id,
            id_name="order_id",
            likeness_of=lambda order: _likeness(order.recipient),
            batch=lazy.checked_batch(batch),
        )
        runner = self._runner.without_bounds()
        listed: lazy.Listed[OrderSummary, Order] = lazy.Listed(
            noun="order",
            listing=_ORDERS,
            get=lazy.getter(GET, runner),
            keep=_kept,
            evidence_of=lambda order: lazy.evidence_of(order.metadata, key),
            likeness_of=lambda order: _likeness(order.recipient),
        )
        return lazy.create_run(
            rows,
            call="create_many",
            operation=CREATE,
            runner=runner,
            creation=creation,
            new_look=lambda reader, server_time: lazy.ListLook(listed, runner, reader, server_time),
            options=options,
        )

    @scrubs_traceback_of_call
    def reconcile(
        self,
        error: OutcomeUnknownError | DecodeError | None = None,
        *,
        client_ref: str | None = None,
        sent_at: datetime | None = None,
        since: date | None = None,
        patience_s: float | None = None,
    ) -> "Prepared[lazy.Reconciliation[Order]]":
        """Find out whether an order was placed, by its reference among the orders placed since.

        The list does not show metadata, so each order placed since the day before is fetched, those placed closest to
        that time first. Replacing an order's metadata removes its reference. Times are the server's whenever its
        answers tell them, so a wrong local clock does not matter.

        Args:
            error: of ``create``; or, for a call that was cancelled or a process that was killed,
            client_ref: the reference that was passed to ``create``.
            sent_at: with ``client_ref``, when the order was sent at the latest, timezone-aware: for a call that was not
                held up, when it was made; for one that may have waited (for a rate limit, after a 429), when its
                process ended. It may be up to a day after the call. None: not known, so that the state is not "not
                found" before the server has had the whole time for a request sent now.
            since: with ``client_ref``, the day of the call; None: that of ``sent_at``, and without that all orders.
            patience_s: the longest wait until the request cannot be executed any longer, in seconds; None: as long
                as it takes, which is ``lands_within_s`` of the client from its sending or, if that is longer,
                ``timeout_s``. If patience ends sooner, what was not found is ``"unknown"``.

        Returns:
            ``"found"`` with ``duplicates`` if several orders have the reference, among those placed for the same
            recipient (the 24 nearest in time). ``"unknown"`` also if a candidate cannot be judged (it cannot be
            fetched, or shows no metadata), if answers have no ``Date`` or come from a cache, and if the order carried
            no reference.

        Raises:
            InvalidInputError: the error belongs to another call, neither or both are passed, or ``sent_at`` has no
                zone; nothing was sent.
            SpotError: looking failed, and would fail again.
        """
        if (error is None) == (client_ref is None):
            refuse((("error or client_ref", "must be given, and never both"),), CREATE.name)
        runner, lands_within_s = self._runner, self._runner.lands_within_s
        clue, times = lazy.clue_and_times(
            error,
            CREATE.name,
            client_ref=client_ref,
            client_ref_key=self._client_ref_key,
            sent_at=sent_at,
            since=since,
            lands_within_s=lands_within_s,
        )
        if clue.client_ref is None or clue.client_ref_key is None:
            return lazy.nothing_known

        def is_it(order: Order) -> bool | None:
            is_surely_none = not times.are_bounded and codec.has_come_as_null(order, "metadata")
            return carries(order.metadata, clue.client_ref_key, clue.client_ref, is_surely_none=is_surely_none)

        search = _ORDERS.search(
            runner, times, get=self.get, judge=is_it, are_twins=lambda one, other: one.recipient == other.recipient
        )
        look, sleep = search.look, runner.state.sleep
        return partial(lazy.reconcile, look, clue, lands_within_s=lands_within_s, patience_s=patience_s, sleep=sleep)

    @scrubs_traceback_of_call
    def update_metadata(self, order_id: str, metadata: Mapping[str, Any]) -> Prepared[Order]:
        """Replace an order's metadata, and return the order.

        The call replaces the whole value: a key that is left out is gone. Repeating it is safe, and the SDK does so. An
        answer whose metadata differs from what was sent (other than by key order, more keys, left-out nulls, numbers in
        another form or as text, and trimmed texts) may belong to an earlier update: the update is repeated, as after a
        broken answer. Null for metadata proves nothing.

        An attempt without a usable answer may be executed late, over the value of your next call: a bulk run waits
        for that, single calls do not.

        Args:
            order_id: not empty, no control character, nothing that leads to another path (see ``allow_any_id``).
            metadata: string keys, JSON values; no NaN or infinity.

        Raises:
            InvalidInputError: an argument is wrong; nothing was sent.
            NotFoundError: the server does not know the order.
            DecodeError: with ``outcome == "done"`` the update was executed and its answer has another shape; with
                ``"unknown"`` no answer, even after repeats, showed that it answers this update.
            OutcomeUnknownError: sent, and no usable answer even after repeats; setting it again is safe.
            SpotError: any other, as the error tree says.
        """
        body = metadata_body(metadata, UPDATE_METADATA.name, self._runner.encode)
        request = UPDATE_METADATA.request(order_id, json=body, allow_any_id=self._runner.allow_any_id)
        return partial(self._runner.call, request, UPDATE_METADATA.decode)

    @scrubs_traceback
    def update_metadata_many(
        self,
        updates: "Iterable[lazy.OrderRow] | AsyncIterable[lazy.OrderRow]",
        *,
        decode: bool = True,
        **options: "Unpack[lazy.UpdateOptions]",
    ) -> "lazy.BulkRun[Order]":
        """Replace the metadata of very many orders; yields one Outcome for every row, in flat memory.

        Everything that ``spot.kits.update_metadata_many`` says about order, repeats, outages, arguments and errors
        applies.

        Args:
            updates: ``OrderMetadataUpdate`` or ``(order_id, metadata)``, from an iterable or an async one.
            decode: False builds no Order from an answer (``value`` is None), which saves time; metadata that the answer
                shows is compared all the same.
            **options: any of UpdateOptions.

        Raises:
            InvalidInputError: at once, if ``updates`` or an option is unusable; a bad row is an outcome.
            JournalError: from the loop, if the journal cannot be used.
            BulkStopped: from the loop, after a problem that every further row would meet.
            BaseException: whatever the input, a hook or ``progress`` raises, after the outcomes of all rows read.
        """
        return lazy.metadata_run(
            updates,
            kind=lazy.OrderMetadataUpdate,
            operation=UPDATE_METADATA,
            runner=self._runner,
            decode=decode,
            **options,
        )

    @scrubs_traceback_of_call
    def get(self, order_id: str) -> Prepared[Order]:
        """Get one order with its recipient, metadata and kits.

        Raises:
            InvalidInputError: the id is wrong; nothing was sent.
            NotFoundError: the server does not know the order.
            SpotError: any other, as the error tree says. Repeating is always safe.
        """
        request = GET.request(order_id, allow_any_id=self._runner.allow_any_id)
        return partial(self._runner.call, request, GET.decode)

    @scrubs_traceback
    def get_many(
        self, ids: Iterable[str] | AsyncIterable[str], **options: "Unpack[lazy.ReadOptions]"
    ) -> "lazy.BulkRun[Order]":
        """Get very many orders; yields one Outcome for every id, in flat memory.

        ``key`` is the id, ``value`` the order. Each ends ``ok``, ``rejected`` (no usable id), ``failed`` (such as by a
        NotFoundError) or ``skipped``. Everything that ``update_metadata_many`` of ``spot.kits`` says about blocks,
        repeats, outages and errors applies; repeating is always safe.

        Args:
            ids: from an iterable or an async one; an id that comes twice is read twice.
            **options: any of ReadOptions.

        Raises:
            InvalidInputError: at once, if ``ids`` or an option is unusable; a bad id is an outcome.
            BulkStopped: from the loop, after a problem that every further id would meet, or an outage beyond its limit.
            BaseException: whatever the input, a hook or ``progress`` raises, after the outcomes of all ids read.
        """
        return lazy.read_run(ids, operation=GET, runner=self._runner, **options)

    @scrubs_traceback
    def changes(self, cursor: str | None = None, **options: "Unpack[lazy.ChangeOptions]") -> "lazy.Changes[Order]":
        """Pull orders that have changed: batches of whole ones, each with a cursor to store with it.

        As ``changes`` of ``spot.kits``, but a pass ends with the first page of known orders.

        Raises:
            InvalidInputError: an argument is wrong, or the cursor does not belong here.
            SpotError: from the loop, as the error tree says. Repeating is always safe.
        """
        return lazy.Changes(_source(), self._runner, cursor, **options)

    @scrubs_traceback_of_call
    def wait_until(
        self, order_id: str, condition: Callable[[Order], object], *, deadline_s: float, every_s: float = 30.0
    ) -> Prepared[Order]:
        """Get one order again and again until a condition holds, and return it; as ``wait_until`` of ``spot.kits``.

        Raises:
            WaitTimeoutError: the condition did not hold in time; ``last`` is the order as it was got last.
            SpotError: any other that would not pass. Repeating is always safe.
        """
        request = GET.request(order_id, allow_any_id=self._runner.allow_any_id)
        return lazy.wait_until(self._runner, request, GET.decode, condition, deadline_s=deadline_s, every_s=every_s)

    @scrubs_traceback
    def list(
        self, *, on_bad_item: OnBadItem = "raise", start_offset: int = 0, **filters: Unpack[OrderFilters]
    ) -> Pages[OrderSummary]:
        """List orders, most recently updated first; fetched page by page as it is read, may be empty.

        An order that changes while the list is read moves to its front, and is missed if it was not read before.

        Args:
            on_bad_item: what to do with an order that cannot be read: see Pages.
            start_offset: how many orders to skip at the front of the list.
            **filters: any of OrderFilters.

        Raises:
            InvalidInputError: at once, if a filter or an option is wrong; nothing was sent.
        """
        return _ORDERS.pages(self._runner, filters, on_bad_item=on_bad_item, start_offset=start_offset)


_ORDERS = Listing(LIST, lambda order: order.order_id, is_newest_change_first=True)


@cache
def _source() -> "lazy.Source[OrderSummary, Order]":
    return lazy.Source(
        noun="orders", id_name="order_id", listing=_ORDERS, get=GET, changed_at=lambda order: order.updated
    )


def _likeness(recipient: Recipient | None) -> str | None:
    """Return what all orders for one person have in common; None if the answer does not tell."""
    if recipient is None or not recipient.first_name or not recipient.last_name:
        return None
    return f"{tidied(recipient.first_name)}\n{tidied(recipient.last_name)}"


def _kept(order: OrderSummary) -> OrderSummary:
    person = order.recipient
    named = person and evolve(person, extra={}, **dict.fromkeys(("email", "phone", "address", "as_came")))
    return OrderSummary(order_id=order.order_id, recipient=named, created=order.created, updated=order.updated)


def _creation(order: NewOrder, runner: Runner, key: str | None, reference: str | None) -> Request:
    # Outside the frames that an error passes through: patient data must not stay in a traceback.
    order = checked(order, ORDER, CREATE.name, runner.encode)
    metadata, reference = with_reference(order.metadata, key=key, reference=reference, operation=CREATE.name)
    request = CREATE.request(json=codec.tree(evolve(order, metadata=metadata)))
    return evolve(request, clue=Clue(reference, key, clock.wall()), echoes=echoes_of(key, reference))
