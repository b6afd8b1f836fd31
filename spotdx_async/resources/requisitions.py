"""Requisitions: creating them, finding out whether one was created, their state and their list."""

from collections.abc import AsyncIterable, Callable, Iterable
from datetime import date, datetime
from functools import cache, partial
from typing import Unpack

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
from spotdx_async._requests.identity import Echo, any_id, compact, id_asked_for, rows_with
from spotdx_async._requests.operation import Operation
from spotdx_async._requests.validation import REQUISITION, checked
from spotdx_async.errors import Clue, DecodeError, OutcomeUnknownError
from spotdx_async.models import NewRequisition, Requisition, RequisitionStatus, RequisitionSummary
from spotdx_async.pagination import Listing, OnBadItem, Pages
from spotdx_async.resources import lazy

__all__ = ["OPERATIONS", "RequisitionFilters", "Requisitions"]


class RequisitionFilters(ListFilters, total=False):
    """The filters of ``requisitions.list``: those of ListFilters, and these."""

    lab: str | None
    """The laboratory's name; case matters."""
    status: RequisitionStatus | str | None
    """One of RequisitionStatus, or another word that the server knows."""


CREATE = Operation(
    "POST", "/api/v2/requisitions/", is_replay_safe=False, answer=Requisition, identity=any_id("requisition_id")
)
GET = Operation(
    "GET",
    "/api/v2/requisitions/{requisition_id}",
    is_replay_safe=True,
    answer=Requisition,
    identity=id_asked_for("requisition_id", ignores_case=True),  # a UUID
)
LIST = Operation(
    "GET",
    "/api/v2/requisitions/",
    is_replay_safe=True,
    answer=ListPage[RequisitionSummary],
    query=(*PAGING, *RequisitionFilters.__annotations__),
    identity=rows_with("requisition_id"),
)
OPERATIONS = (CREATE, GET, LIST)
"""Source: the requisition endpoints of the vendor's API reference, version 2."""


class Requisitions:
    """Operations on requisitions. Reached as ``spot.requisitions``."""

    def __init__(self, runner: Runner, client_ref_key: str | None) -> None:
        self._runner = runner
        self._client_ref_key = client_ref_key

    @scrubs_traceback_of_call
    def create(self, requisition: NewRequisition, *, client_ref: str | None = None) -> Prepared[Requisition]:
        """Create a requisition, and return it: approved or denied at once.

        It is created at most once: nothing is repeated that may have been executed. So that it can be found again, its
        metadata gets a reference under the client's ``client_ref_key``.

        Args:
            requisition: checked as a whole before anything is sent.
            client_ref: the reference; None: the one in the metadata, else a new UUID4.

        Raises:
            InvalidInputError: the requisition or the reference is wrong; ``faults`` lists all faults; nothing was sent.
            BadRequestError: the server found it wrong, such as a barcode that is in use; ``details`` says what.
            DecodeError: with ``outcome == "done"`` the requisition is created and its answer has another shape.
            OutcomeUnknownError: sent, and no usable answer: call ``reconcile`` before creating it again.
            SpotError: any other, as the error tree says.
        """
        request = _creation(requisition, self._runner, self._client_ref_key, client_ref)
        return partial(self._runner.call, request, CREATE.decode)

    @scrubs_traceback
    def create_many(
        self,
        rows: "Iterable[lazy.RequisitionCreateRow] | AsyncIterable[lazy.RequisitionCreateRow]",
        *,
        batch: str,
        **options: "Unpack[lazy.CreateOptions]",
    ) -> "lazy.BulkRun[Requisition]":
        """Create very many requisitions, each at most once; yields one Outcome for every row, in flat memory.

        Everything that ``spot.orders.create_many`` says applies. Rows in doubt are settled by their barcodes, which the
        list shows, and by their references.

        Args:
            rows: ``(key, NewRequisition)`` or ``NewRequisitionRow``, from an iterable or an async one.
            batch: a name of yours for these rows; the journal belongs to it.
            **options: any of CreateOptions; ``journal`` must be passed.

        Raises:
            InvalidInputError: at once, if ``rows``, ``batch`` or an option is unusable; a bad row is an outcome.
            ConfigError: at once, if the client has ``client_ref_key=None``.
            JournalError: from the loop, if the journal cannot be used.
            BulkStopped: from the loop, after a problem that every further row would meet.
            BaseException: whatever the input, a hook or ``progress`` raises, after the outcomes of all rows read.
        """
        key = lazy.checked_key(self._client_ref_key, "requisitions.create_many")
        creation: lazy.Creation[Requisition] = lazy.Creation(
            noun="requisition",
            row_type=lazy.NewRequisitionRow,
            request_of=lambda new, reference: _creation(new, self._runner, key, reference),
            client_ref_key=key,
            id_of=lambda requisition: requisition.requisition_id,
            id_name="requisition_id",
            mark_of=lambda request: None if request.clue is None else compact(request.clue.subject["barcode"]),
            batch=lazy.checked_batch(batch),
        )
        runner = self._runner.without_bounds()
        listed: lazy.Listed[RequisitionSummary, Requisition] = lazy.Listed(
            noun="requisition",
            listing=_REQUISITIONS,
            get=lazy.getter(GET, runner),
            keep=_kept,
            evidence_of=lambda requisition: lazy.evidence_of(requisition.metadata, key),
            likeness_of=lambda _: None,
            mark_of=lambda requisition: None if requisition.barcode is None else compact(requisition.barcode),
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
        barcode: str | None = None,
        client_ref: str | None = None,
        sent_at: datetime | None = None,
        since: date | None = None,
        patience_s: float | None = None,
    ) -> "Prepared[lazy.Reconciliation[Requisition]]":
        """Find out whether a requisition was created, by its barcode or its reference among those created since.

        A barcode is unique and appears in the list. If it is not known, each requisition created since the day before
        is fetched, those created closest to that time first. One with the barcode and another reference does not count:
        it is an earlier one, which keeps the barcode. Times are the server's, as for ``spot.orders.reconcile``.

        Args:
            error: of ``create``; or, for a call that was cancelled or a process that was killed, one of the next two
                or both.
            barcode: of the requisition; also for an error that was pickled, which leaves it out.
            client_ref: the reference that was passed to ``create``.
            sent_at: without an error, when the requisition was sent at the latest, timezone-aware: for a call that was
                not held up, when it was made; for one that may have waited (for a rate limit, after a 429), when its
                process ended. It may be up to a day after the call. None: not known, so that the state is not "not
                found" before the server has had the whole time for a request sent now.
            since: without an error, the day of the call; None: that of ``sent_at``, and without that all requisitions.
            patience_s: the longest wait until the request cannot be executed any longer, in seconds; None: as long
                as it takes, which is ``lands_within_s`` of the client from its sending or, if that is longer,
                ``timeout_s``. If patience ends sooner, what was not found is ``"unknown"``.

        Returns:
            ``"found"`` with ``duplicates`` if several requisitions are found, among those for the same patient or with
            the same barcode (the 24 nearest in time). ``"unknown"`` also if a candidate cannot be judged (it cannot be
            fetched, or shows no metadata), if answers have no ``Date`` or come from a cache, and if there is neither a
            barcode nor a reference.

        Raises:
            InvalidInputError: the error belongs to another call, there is nothing to look for, or ``sent_at`` has no
                zone; nothing was sent.
            SpotError: looking failed, and would fail again.
        """
        if error is None and barcode is None and client_ref is None:
            refuse((("error, barcode or client_ref", "must be given"),), CREATE.name)
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
        wanted = barcode or clue.subject.get("barcode")
        if wanted is None and (clue.client_ref is None or clue.client_ref_key is None):
            return lazy.nothing_known

        search = _REQUISITIONS.search(
            runner,
            times,
            get=self.get,
            judge=partial(_is_it, clue=clue, barcode=wanted, is_bounded=times.are_bounded),
            are_twins=lambda one, other: one.patient == other.patient or one.barcode == other.barcode,
            may_be=lambda row: wanted is None or row.barcode is None or compact(row.barcode) == compact(str(wanted)),
        )
        look, sleep = search.look, runner.state.sleep
        return partial(lazy.reconcile, look, clue, lands_within_s=lands_within_s, patience_s=patience_s, sleep=sleep)

    @scrubs_traceback_of_call
    def get(self, requisition_id: str) -> Prepared[Requisition]:
        """Get one requisition with its patient and reports.

        Raises:
            InvalidInputError: the id is wrong; nothing was sent.
            NotFoundError: the server does not know the requisition.
            SpotError: any other, as the error tree says. Repeating is always safe.
        """
        request = GET.request(requisition_id, allow_any_id=self._runner.allow_any_id)
        return partial(self._runner.call, request, GET.decode)

    @scrubs_traceback
    def get_many(
        self, ids: Iterable[str] | AsyncIterable[str], **options: "Unpack[lazy.ReadOptions]"
    ) -> "lazy.BulkRun[Requisition]":
        """Get very many requisitions; yields one Outcome for every id, in flat memory.

        ``key`` is the id, ``value`` the requisition. Each ends ``ok``, ``rejected`` (no usable id), ``failed`` (such as
        by a NotFoundError) or ``skipped``. Everything that ``update_metadata_many`` of ``spot.kits`` says about blocks,
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
    def changes(
        self, cursor: str | None = None, **options: "Unpack[lazy.ChangeOptions]"
    ) -> "lazy.Changes[Requisition]":
        """Pull requisitions that have changed: batches of whole ones, each with a cursor to store with it.

        Everything that ``changes`` of ``spot.kits`` says applies.

        Raises:
            InvalidInputError: an argument is wrong, or the cursor does not belong here.
            SpotError: from the loop, as the error tree says. Repeating is always safe.
        """
        return lazy.Changes(_source(), self._runner, cursor, **options)

    @scrubs_traceback_of_call
    def wait_until(
        self,
        requisition_id: str,
        condition: Callable[[Requisition], object],
        *,
        deadline_s: float,
        every_s: float = 30.0,
    ) -> Prepared[Requisition]:
        """Get one requisition until a condition holds, and return it; as ``wait_until`` of ``spot.kits``.

        Raises:
            WaitTimeoutError: the condition did not hold in time; ``last`` is the requisition as it was got last.
            SpotError: any other that would not pass, as the error tree says. Repeating is always safe.
        """
        request = GET.request(requisition_id, allow_any_id=self._runner.allow_any_id)
        return lazy.wait_until(self._runner, request, GET.decode, condition, deadline_s=deadline_s, every_s=every_s)

    @scrubs_traceback
    def list(
        self, *, on_bad_item: OnBadItem = "raise", start_offset: int = 0, **filters: Unpack[RequisitionFilters]
    ) -> Pages[RequisitionSummary]:
        """List requisitions in the server's order; fetched page by page as it is read, may be empty.

        Args:
            on_bad_item: what to do with a requisition that cannot be read: see Pages.
            start_offset: how many requisitions to skip at the front of the list.
            **filters: any of RequisitionFilters.

        Raises:
            InvalidInputError: at once, if a filter or an option is wrong; nothing was sent.
        """
        return _REQUISITIONS.pages(self._runner, filters, on_bad_item=on_bad_item, start_offset=start_offset)


_REQUISITIONS = Listing(LIST, lambda requisition: requisition.requisition_id)


@cache
def _source() -> "lazy.Source[RequisitionSummary, Requisition]":
    return lazy.Source(
        noun="requisitions",
        id_name="requisition_id",
        listing=_REQUISITIONS,
        get=GET,
        changed_at=lambda requisition: requisition.updated,
    )


def _is_it(found: Requisition, *, clue: Clue, barcode: str | None, is_bounded: bool) -> bool | None:
    """Return whether it is the requisition of the call; None if that cannot be told."""
    if barcode is not None and found.barcode is not None and compact(found.barcode) != compact(str(barcode)):
        return False
    if clue.client_ref is None or clue.client_ref_key is None:
        return True if found.barcode is not None else None if is_bounded else False
    is_surely_none = barcode is None and not is_bounded and codec.has_come_as_null(found, "metadata")
    return carries(found.metadata, clue.client_ref_key, clue.client_ref, is_surely_none=is_surely_none)


def _kept(found: RequisitionSummary) -> RequisitionSummary:
    return RequisitionSummary(
        requisition_id=found.requisition_id, barcode=found.barcode, created=found.created, updated=found.updated
    )


def _creation(requisition: NewRequisition, runner: Runner, key: str | None, reference: str | None) -> Request:
    # Outside the frames that an error passes through: patient data must not stay in a traceback.
    requisition = checked(requisition, REQUISITION, CREATE.name, runner.encode)
    metadata, reference = with_reference(requisition.metadata, key=key, reference=reference, operation=CREATE.name)
    request = CREATE.request(json=codec.tree(evolve(requisition, metadata=metadata)))
    barcode = Echo(("barcode",), str(requisition.barcode), ignores_case=True)
    clue = Clue(reference, key, clock.wall(), subject={"barcode": requisition.barcode})
    return evolve(request, clue=clue, echoes=(*echoes_of(key, reference), barcode))
