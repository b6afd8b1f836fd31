"""Requisitions: making them, finding out whether one was made, their state and their list."""

from collections.abc import AsyncIterator
from datetime import date

from attrs import evolve

from spotdx_async._pipeline import clock, codec
from spotdx_async._pipeline.checks import REQUISITION, check, refuse
from spotdx_async._pipeline.filters import list_request, page_of
from spotdx_async._pipeline.messages import Reply, Request
from spotdx_async._pipeline.operation import Operation
from spotdx_async._pipeline.references import carries, with_reference
from spotdx_async._pipeline.runner import Runner
from spotdx_async._pipeline.sealing import sealed, sealed_call
from spotdx_async.errors import Clue, DecodeError, OutcomeUnknownError
from spotdx_async.models import NewRequisition, Requisition, RequisitionStatus, RequisitionSummary
from spotdx_async.pagination import Pages
from spotdx_async.reconciliation import Reconciliation, clue_of, days_since, reconcile, search

__all__ = ["OPERATIONS", "Requisitions"]

CREATE = Operation("POST", "/api/v2/requisitions/", is_replay_safe=False)
GET = Operation("GET", "/api/v2/requisitions/{requisition_id}", is_replay_safe=True)
LIST = Operation(
    "GET",
    "/api/v2/requisitions/",
    is_replay_safe=True,
    query=(
        "results",
        "offset",
        "email",
        "first_name",
        "last_name",
        "phone",
        "lab",
        "status",
        "created_before",
        "created_after",
        "updated_before",
        "updated_after",
    ),
)
OPERATIONS = (CREATE, GET, LIST)
"""Source: the requisition endpoints of the vendor's API reference, version 2."""


class Requisitions:
    """What can be asked about requisitions. Reached as ``spot.requisitions``."""

    def __init__(self, runner: Runner, client_ref_key: str | None) -> None:
        self._runner = runner
        self._client_ref_key = client_ref_key

    @sealed_call
    async def create(self, requisition: NewRequisition, *, client_ref: str | None = None) -> Requisition:
        """Make a requisition, and get it: approved or denied at once.

        It is made at most once: nothing is repeated that may have been executed. So that it can be found again, its
        metadata gets a reference under the client's ``client_ref_key``.

        Args:
            requisition: checked as a whole before anything is sent.
            client_ref: the reference; None: the one in the metadata, else a new UUID4.

        Raises:
            InvalidInputError: the requisition or the reference is wrong; ``faults`` lists everything; nothing was sent.
            BadRequestError: the server found it wrong, a barcode that is in use say; ``details`` says what.
            DecodeError: with ``outcome == "done"`` the requisition is made, its answer has another shape.
            OutcomeUnknownError: sent, and no usable answer: ask ``reconcile`` before making it again.
            SpotError: any other, as its tree says.
        """
        return await self._runner.call(_creation(requisition, self._client_ref_key, client_ref), _decode_requisition)

    @sealed_call
    async def reconcile(
        self,
        error: OutcomeUnknownError | DecodeError | None = None,
        *,
        barcode: str | None = None,
        client_ref: str | None = None,
        since: date | None = None,
        patience_s: float | None = None,
    ) -> Reconciliation[Requisition]:
        """Find out whether a requisition was made, by its barcode or its reference among those made since.

        A barcode is unique and stands in the list. Where it is not known, each requisition made since the day before is
        got, those first that were made at about that time. One with the barcode and another reference is not found: it
        is an earlier one, which keeps the barcode.

        Args:
            error: of ``create``; or, for a call that was cancelled, one of the next two or both.
            barcode: of the requisition; also for an error that was pickled, which leaves it out.
            client_ref: the reference that ``create`` was given. Without an error, not found is only as sure as the time
                since that call: the server may carry out a request for a minute.
            since: without an error, the day of the call; None: all requisitions.
            patience_s: the longest wait until the request cannot be carried out any longer, in seconds; None: as long
                as it takes, which is a minute from its sending or, where that is longer, ``timeout_s``. Where patience
                ends sooner, what is not found is ``"unknown"``.

        Returns:
            ``"unknown"`` too where there is neither a barcode nor a reference.

        Raises:
            InvalidInputError: the error is of another call, or there is nothing to look for; nothing was sent.
            SpotError: looking failed, and would fail again.
        """
        if error is None and barcode is None and client_ref is None:
            refuse((("error, barcode or client_ref", "must be given"),), CREATE.name)
        clue = Clue(client_ref, self._client_ref_key) if error is None else clue_of(error, CREATE.name)
        wanted = barcode or clue.subject.get("barcode")
        if wanted is None and (clue.client_ref is None or clue.client_ref_key is None):
            return Reconciliation(state="unknown")
        first_day = since or days_since(clue.began_at)

        def is_it(found: Requisition) -> bool:
            has_reference = clue.client_ref is not None and clue.client_ref_key is not None
            return not has_reference or carries(found.metadata, clue.client_ref_key, clue.client_ref)

        async def rows() -> AsyncIterator[RequisitionSummary]:
            async for summary in self.list(created_after=first_day):
                if wanted is None or summary.barcode == wanted:
                    yield summary

        look = search(rows, lambda summary: summary.requisition_id, self.get, is_it, clue)
        runner = self._runner
        return await reconcile(
            look, clue, lands_within_s=runner.lands_within_s, patience_s=patience_s, sleep=runner.road.sleep
        )

    @sealed_call
    async def get(self, requisition_id: str) -> Requisition:
        """Get one requisition with its patient and reports.

        Raises:
            InvalidInputError: the id is wrong; nothing was sent.
            NotFoundError: the server does not know the requisition.
            SpotError: any other, as its tree says. Repeating is always safe.
        """
        return await self._runner.call(GET.request(requisition_id), _decode_requisition)

    @sealed
    def list(
        self,
        *,
        email: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        phone: str | None = None,
        lab: str | None = None,
        status: RequisitionStatus | str | None = None,
        created_before: date | str | None = None,
        created_after: date | str | None = None,
        updated_before: date | str | None = None,
        updated_after: date | str | None = None,
    ) -> Pages[RequisitionSummary]:
        """List requisitions in the server's order; fetched page by page as it is read, may be empty.

        Args:
            email: of the patient, as the other three are.
            first_name: see ``email``.
            last_name: see ``email``.
            phone: see ``email``.
            lab: the laboratory's name, with its case.
            status: one of RequisitionStatus, or another word that the server knows.
            created_before: a date, or text as ``YYYY-MM-DD``; inclusive, as the other three are.
            created_after: see ``created_before``.
            updated_before: see ``created_before``.
            updated_after: see ``created_before``.

        Raises:
            InvalidInputError: at once, where a filter is wrong; nothing was sent.
        """
        request = list_request(
            LIST,
            {
                "email": email,
                "first_name": first_name,
                "last_name": last_name,
                "phone": phone,
                "lab": lab,
                "status": status,
                "created_before": created_before,
                "created_after": created_after,
                "updated_before": updated_before,
                "updated_after": updated_after,
            },
        )
        return Pages(
            lambda offset, size: self._runner.call(page_of(request, offset, size), _decode_summaries),
            identify=lambda requisition: requisition.requisition_id,
            operation=LIST.name,
        )


def _creation(requisition: NewRequisition, key: str | None, reference: str | None) -> Request:
    # Apart from the frames that an error comes through: patient data does not stay in a traceback.
    check(requisition, REQUISITION, CREATE.name)
    metadata, reference = with_reference(requisition.metadata, key=key, reference=reference, operation=CREATE.name)
    request = CREATE.request(json=codec.tree(evolve(requisition, metadata=metadata)))
    return evolve(request, clue=Clue(reference, key, clock.wall(), subject={"barcode": requisition.barcode}))


def _decode_requisition(reply: Reply) -> Requisition:
    return codec.decode(reply.body, Requisition)


def _decode_summaries(reply: Reply) -> tuple[RequisitionSummary, ...]:
    return codec.decode(reply.body, tuple[RequisitionSummary, ...])
