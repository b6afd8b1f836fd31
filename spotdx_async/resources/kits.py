"""Kits: their metadata, their state, their list, their types, and their activation."""

import builtins
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any, Unpack

from spotdx_async._http.messages import Request
from spotdx_async._http.runner import Runner
from spotdx_async._observe.scrub import Prepared, scrubs_traceback, scrubs_traceback_of_call
from spotdx_async._requests.activations import (
    ACTIVATE,
    activation_request,
    decode_dated,
    decode_success,
    is_registered,
)
from spotdx_async._requests.answers import ListPage, ServerClock, from_cache_error
from spotdx_async._requests.filters import PAGING, ListFilters
from spotdx_async._requests.identity import TEXTS, id_asked_for, rows_with
from spotdx_async._requests.operation import Operation, metadata_body
from spotdx_async.errors import DecodeError, OutcomeUnknownError
from spotdx_async.models import Activation, Kit, KitStatus, KitSummary, NewPatient, SampleStatus
from spotdx_async.pagination import Listing, OnBadItem, Pages
from spotdx_async.resources import lazy

__all__ = ["OPERATIONS", "KitFilters", "Kits"]


class KitFilters(ListFilters, total=False):
    """The filters of ``kits.list``: those of ListFilters, and these."""

    kit_type: str | None
    """One of ``types()``."""
    has_order: bool | None
    """Whether the kit belongs to an order."""
    kit_status: KitStatus | str | None
    """One of KitStatus, or another word that the server knows."""
    sample_status: SampleStatus | str | None
    """One of SampleStatus, or another word that the server knows."""


UPDATE_METADATA = Operation(
    "POST",
    "/api/v2/kits/{kit_id}/",
    is_replay_safe=True,
    answer=Kit,
    identity=id_asked_for("kit_id", sets_metadata=True),
)
GET = Operation("GET", "/api/v2/kits/{kit_id}/", is_replay_safe=True, answer=Kit, identity=id_asked_for("kit_id"))
LIST = Operation(
    "GET",
    "/api/v2/kits/",
    is_replay_safe=True,
    answer=ListPage[KitSummary],
    query=(*PAGING, *KitFilters.__annotations__),
    identity=rows_with("kit_id"),
)
TYPES = Operation("GET", "/api/v2/kit_types", is_replay_safe=True, answer=list[str], identity=TEXTS)
OPERATIONS = (UPDATE_METADATA, GET, LIST, TYPES, ACTIVATE)
"""Source: the kit endpoints of the vendor's API reference, version 2."""


class Kits:
    """Operations on kits. Reached as ``spot.kits``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @scrubs_traceback_of_call
    def update_metadata(self, kit_id: str, metadata: Mapping[str, Any]) -> Prepared[Kit]:
        """Set a kit's metadata, and return the kit.

        The call sets the whole value, so repeating it is safe and the SDK does so. The documented answer does not
        return the metadata; if the server sends it, it is in ``kit.extra``, and must be what was sent, as for an order.
        An attempt without a usable answer may be executed late, over the value of your next call: a bulk run waits
        for that, single calls do not.

        Args:
            kit_id: not empty, no control character, nothing that leads to another path (see ``allow_any_id``).
            metadata: string keys, JSON values; no NaN or infinity.

        Raises:
            InvalidInputError: an argument is wrong; nothing was sent.
            NotFoundError: the server does not know the kit.
            DecodeError: with ``outcome == "done"`` the update was executed and its answer has another shape;
                otherwise unknown: no answer, even after repeats, showed that it answers this update.
            OutcomeUnknownError: sent, and no usable answer even after repeats; setting it again is safe.
            SpotError: any other, as the error tree says.
        """
        body = metadata_body(metadata, UPDATE_METADATA.name, self._runner.encode)
        request = UPDATE_METADATA.request(kit_id, json=body, allow_any_id=self._runner.allow_any_id)
        return partial(self._runner.call, request, UPDATE_METADATA.decode)

    @scrubs_traceback
    def update_metadata_many(
        self,
        updates: "Iterable[lazy.KitRow] | AsyncIterable[lazy.KitRow]",
        *,
        decode: bool = True,
        **options: "Unpack[lazy.UpdateOptions]",
    ) -> "lazy.BulkRun[Kit]":
        """Set the metadata of very many kits; yields one Outcome for every row, in flat memory.

        Use it as a context manager, so that it ends with the block, however that is left::

            async with spot.kits.update_metadata_many(rows) as run:
                async for outcome in run:
                    ...

        Leaving the block, or closing the client, ends the run: requests sent last may or may not be executed. Without
        the block, a run that is left before its end continues until its read-ahead is used up.

        Updates of one kit are sent in input order, one at a time, the next when the one before has its outcome; after
        an attempt without a usable answer (5xx, 408, none at all) only when ``lands_within_s`` of the client has passed
        since it was sent, even if a repeat succeeded, so that an old value cannot land on a newer one. Other kits run
        beside it. Rows are read lazily, at most ``2 * concurrency`` (at least 8, and 64 more with ``coalesce``) ahead
        of the outcomes taken, so that a slow consumer slows the sending; and 16 MiB more of rows that wait for that or
        for another try, or behind one that does. A row's metadata is written as JSON when it is read.

        A row whose attempt may have been executed ends ``unknown`` unless a later one succeeds, whatever the later ones
        met: ``failed`` and ``rejected`` rows were certainly not executed. Without a journal the last outcome of each
        kit counts: sent again, a row whose kit has a later ``ok`` row would set the older value over the newer one.

        Attempts are repeated according to the client's ``retry``, without its budget. In a total outage rows are paused
        instead of failing, one at a time probes, and then the rate ramps up. In a partial outage the run continues with
        what is left of its rate; while so many other rows fail that chance could explain it, a row is repeated at once,
        and beyond ``max_attempts``. ``deadline_s`` and ``max_wait_s`` apply to single calls only.

        Args:
            updates: ``MetadataUpdate`` or ``(kit_id, metadata)``, from an iterable or an async one. An ``InvalidRow``,
                or an ``InvalidInputError``, marks a row already known to be bad: it comes back ``rejected``.
                A plain iterable that waits, on a database say, blocks the event loop meanwhile. A generator is closed
                as soon as the run ends; a file or a cursor that was opened elsewhere stays open.
            decode: False builds no Kit from an answer (``value`` is None), which saves a third of the CPU time. The
                answer must be an object with the kit's id all the same; its metadata, if any, is not compared.
            **options: any of UpdateOptions.

        Raises:
            InvalidInputError: at once, if ``updates`` or an option is unusable, or if another task already reads the
                run; a bad row is an outcome. At the end, if the input was cancelled.
            ConfigError: from the loop, if the run was begun in another event loop.
            JournalError: from the loop, before anything is sent, if the journal is another run's, a newer version's, in
                use or damaged; and at the first row that differs from the one that the journal knows.
            BulkStopped: from the loop, after a problem that every further row would meet (401, 403 three times in a
                row, TLS, a failing token function, an outage beyond its limit, a journal that cannot be written, a
                client that was closed) or ``stop_after`` failures. Outcomes of all rows read came before.
            BaseException: whatever the input, a hook or ``progress`` raises, after the outcomes of all rows read.
        """
        kind, runner = lazy.MetadataUpdate, self._runner
        return lazy.metadata_run(updates, kind=kind, operation=UPDATE_METADATA, runner=runner, decode=decode, **options)

    @scrubs_traceback_of_call
    def get(self, kit_id: str) -> Prepared[Kit]:
        """Get one kit with its sample, reports and registrant.

        Raises:
            InvalidInputError: the id is wrong; nothing was sent.
            NotFoundError: the server does not know the kit.
            SpotError: any other, as the error tree says. Repeating is always safe.
        """
        request = GET.request(kit_id, allow_any_id=self._runner.allow_any_id)
        return partial(self._runner.call, request, GET.decode)

    @scrubs_traceback
    def get_many(
        self, ids: Iterable[str] | AsyncIterable[str], **options: "Unpack[lazy.ReadOptions]"
    ) -> "lazy.BulkRun[Kit]":
        """Get very many kits; yields one Outcome for every id, in flat memory.

        ``key`` is the id, ``value`` the kit. Each ends ``ok``, ``rejected`` (no usable id), ``failed`` (such as by a
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
    def changes(self, cursor: str | None = None, **options: "Unpack[lazy.ChangeOptions]") -> "lazy.Changes[Kit]":
        """Pull kits that have changed: batches of whole kits, each with a cursor to store in the same transaction.

        One ``async for`` is a pass, ``changes(cursor)`` the next, and ``follow`` makes them for ever. The list is asked
        with ``updated_after`` alone, from the day before the last pass by the server's clock: an idle pass reads the
        pages of two days. Kits that it shows changed are got side by side.

        Nothing is lost if the list shows each change within a day; what it does not tell only a sweep can see
        (``feed.sweep = True``). What was committed comes again only if the kit or its row has changed. A first pass
        over many kits reads them by days of creation, in flat memory, and resumes anywhere.

        Args:
            cursor: of the last batch that was stored; None: from the beginning.
            **options: any of ChangeOptions.

        Raises:
            InvalidInputError: an argument is wrong, or the cursor does not belong here; from the loop: to this account.
            SpotError: from the loop, as the error tree says. Repeating is always safe.
        """
        return lazy.Changes(_source(), self._runner, cursor, **options)

    @scrubs_traceback_of_call
    def wait_until(
        self, kit_id: str, condition: Callable[[Kit], object], *, deadline_s: float, every_s: float = 30.0
    ) -> Prepared[Kit]:
        """Get one kit again and again until a condition holds, and return it; outages are waited out.

        Args:
            kit_id: its id.
            condition: a plain function of the kit.
            deadline_s: the longest wait, in seconds.
            every_s: seconds from one look to the next.

        Raises:
            WaitTimeoutError: the condition did not hold in time; ``last`` is the kit as it was got last.
            SpotError: any other that would not pass, as the error tree says. Repeating is always safe.
        """
        request = GET.request(kit_id, allow_any_id=self._runner.allow_any_id)
        return lazy.wait_until(self._runner, request, GET.decode, condition, deadline_s=deadline_s, every_s=every_s)

    @scrubs_traceback
    def list(
        self, *, on_bad_item: OnBadItem = "raise", start_offset: int = 0, **filters: Unpack[KitFilters]
    ) -> Pages[KitSummary]:
        """List kits by their creation date; fetched page by page as it is read, may be empty.

        Args:
            on_bad_item: what to do with a kit that cannot be read: see Pages.
            start_offset: how many kits to skip at the front of the list.
            **filters: any of KitFilters.

        Raises:
            InvalidInputError: at once, if a filter or an option is wrong; nothing was sent.
        """
        return _KITS.pages(self._runner, filters, on_bad_item=on_bad_item, start_offset=start_offset)

    @scrubs_traceback_of_call
    def types(self) -> Prepared[builtins.list[str]]:
        """List the kit types that the account may order; may be empty.

        Raises:
            SpotError: as the error tree says. Repeating is always safe.
        """
        return partial(self._runner.call, TYPES.request(), TYPES.decode)

    @scrubs_traceback_of_call
    def activate(
        self,
        kit_id: str,
        *,
        patient_id: str | None = None,
        patient: NewPatient | None = None,
        research_consent: bool | None = None,
    ) -> Prepared[Activation]:
        """Register a kit to a patient that the vendor knows, or to a new one.

        It is done at most once: nothing is repeated that may have been executed.

        Args:
            kit_id: not empty, no control character, nothing that leads to another path (see ``allow_any_id``).
            patient_id: of a patient that the vendor knows; or
            patient: a new one, with or without an address. What is required depends on the kit type. An activation does
                not accept the address's ``country``, so that is not sent.
            research_consent: whether the patient agrees to research; None leaves it out.

        Raises:
            InvalidInputError: both or neither of the two, or one is wrong; nothing was sent.
            PermissionDeniedError: testing is not allowed here, by a state's law, say; ``details`` says why.
            OutcomeUnknownError: sent, and no usable answer: call ``reconcile`` before activating again.
            SpotError: any other, as the error tree says.
        """
        request = activation_request(
            kit_id, patient_id, patient, research_consent, allow_any_id=self._runner.allow_any_id
        )
        return partial(self._runner.call, request, ACTIVATE.decode)

    @scrubs_traceback
    def activate_many(
        self,
        rows: "Iterable[lazy.ActivationCreateRow] | AsyncIterable[lazy.ActivationCreateRow]",
        *,
        batch: str | None = None,
        **options: "Unpack[lazy.CreateOptions]",
    ) -> "lazy.BulkRun[Activation]":
        """Register very many kits, each at most once; yields one Outcome for every row, in flat memory.

        Everything that ``spot.orders.create_many`` says applies, except that rows in doubt are settled by getting their
        kits: one that is registered to the row's patient is ``ok``. A row whose answer does not say ``"success"`` is in
        doubt too. Where a row was changed while it was in doubt, and its kit is registered to somebody else, it stays
        ``unknown``. ``object_id`` is the kit's id.

        Args:
            rows: ``KitActivation``, from an iterable or an async one; the key is the kit's id.
            batch: a name of yours for these rows, which the journal belongs to.
            **options: any of CreateOptions; ``journal`` must be passed, ``look_first`` is not for activations.

        Raises:
            InvalidInputError: at once, if ``rows`` or an option is unusable; a bad row is an outcome.
            JournalError: from the loop, if the journal cannot be used.
            BulkStopped: from the loop, after a problem that every further row would meet.
            BaseException: whatever the input, a hook or ``progress`` raises, after the outcomes of all rows read.
        """
        runner = self._runner

        def request_of(row: lazy.KitActivation, _reference: str | None) -> Request:
            return activation_request(
                row.kit_id, row.patient_id, row.patient, row.research_consent, allow_any_id=runner.allow_any_id
            )

        async def get(kit_id: str) -> tuple[Kit, ServerClock | None, bool]:
            request = GET.request(kit_id, allow_any_id=runner.allow_any_id)
            return await runner.without_bounds().call(request, decode_dated)

        creation: lazy.Creation[Activation] = lazy.Creation(
            noun="activation",
            row_type=lazy.KitActivation,
            request_of=request_of,
            is_of_key=True,
            id_name="kit_id",
            batch=None if batch is None else lazy.checked_batch(batch),
        )
        return lazy.create_run(
            rows,
            call="activate_many",
            operation=ACTIVATE,
            decode=decode_success,
            runner=runner,
            creation=creation,
            new_look=lambda _, server_time: lazy.KitLook(get, is_registered, server_time),
            options=options,
        )

    @scrubs_traceback_of_call
    def reconcile(
        self,
        error: OutcomeUnknownError | DecodeError,
        *,
        kit_id: str | None = None,
        patience_s: float | None = None,
    ) -> "Prepared[lazy.Reconciliation[Kit]]":
        """Find out whether an activation was executed, by reading the kit.

        A kit counts as found if it is registered and its registrant is the patient of the activation, as far as both
        are known.

        Args:
            error: of ``activate``.
            kit_id: of the kit; needed only for an error that was pickled, which leaves ids out.
            patience_s: the longest wait until the request cannot be executed any longer, in seconds; None: as long
                as it takes, which is ``lands_within_s`` of the client from its sending or, if that is longer,
                ``timeout_s``. If patience ends sooner, what was not found is ``"unknown"``.

        Returns:
            ``"unknown"`` also if the kit does not tell whether it is registered to this patient, and if answers have no
            ``Date`` or show that they come from a cache; with a cache that hides itself ``"not found"`` may be wrong.

        Raises:
            InvalidInputError: the error belongs to another call, or the kit is not known; nothing was sent.
            SpotError: reading failed, and would fail again.
        """
        clue, runner = lazy.clue_of(error, ACTIVATE.name), self._runner
        request = GET.request(clue.subject.get("kit_id", kit_id), allow_any_id=runner.allow_any_id)

        async def look() -> "lazy.Look[Kit]":
            kit, server, is_cached = await runner.call(request, decode_dated)
            verdict = is_registered(kit, clue.subject)
            if verdict:
                return lazy.Look(found=kit, clock=server)
            if verdict is None:
                message = "the kit does not tell whether it is registered to this patient"
                return lazy.Look(trouble=DecodeError(message, outcome="done"), clock=server)
            return lazy.Look(trouble=from_cache_error() if is_cached else None, clock=server)

        lands_within_s, sleep = runner.lands_within_s, runner.state.sleep
        return partial(lazy.reconcile, look, clue, lands_within_s=lands_within_s, patience_s=patience_s, sleep=sleep)


_KITS = Listing(LIST, lambda kit: kit.kit_id)


@cache
def _source() -> "lazy.Source[KitSummary, Kit]":
    return lazy.Source(noun="kits", id_name="kit_id", listing=_KITS, get=GET)
