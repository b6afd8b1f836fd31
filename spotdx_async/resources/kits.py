"""Kits: their metadata, their state, their list and their types."""

import builtins
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from datetime import date
from typing import Any

from spotdx_async._pipeline import codec
from spotdx_async._pipeline.messages import Answer, Reply
from spotdx_async._pipeline.operation import Operation, check_date, metadata_body
from spotdx_async._pipeline.runner import Runner
from spotdx_async.bulk.records import MetadataUpdate, Outcome
from spotdx_async.bulk.window import BulkRun, check_updates
from spotdx_async.config import check_count
from spotdx_async.errors import InvalidInputError
from spotdx_async.models import Kit, KitStatus, KitSummary, SampleStatus
from spotdx_async.pagination import Pages

__all__ = ["OPERATIONS", "Kits"]

UPDATE_METADATA = Operation("POST", "/api/v2/kits/{kit_id}/", is_replay_safe=True)
GET = Operation("GET", "/api/v2/kits/{kit_id}/", is_replay_safe=True)
LIST = Operation(
    "GET",
    "/api/v2/kits/",
    is_replay_safe=True,
    query=(
        "results",
        "offset",
        "email",
        "first_name",
        "last_name",
        "phone",
        "kit_type",
        "has_order",
        "kit_status",
        "sample_status",
        "created_before",
        "created_after",
        "updated_before",
        "updated_after",
    ),
)
TYPES = Operation("GET", "/api/v2/kit_types", is_replay_safe=True)
OPERATIONS = (UPDATE_METADATA, GET, LIST, TYPES)
"""Source: the kit endpoints of the vendor's API reference, version 2."""


class Kits:
    """What can be asked about kits. Reached as ``spot.kits``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def update_metadata(self, kit_id: str, metadata: Mapping[str, Any]) -> Kit:
        """Set a kit's metadata, and get the kit.

        The call sets the whole value, so repeating it is safe and the SDK does so. The documented answer does not carry
        the metadata back; should the server send it, it is in ``kit.extra``.

        Args:
            kit_id: not empty, ``.`` or ``..``, no control character.
            metadata: string keys, JSON values; no NaN or infinity.

        Raises:
            InvalidInputError: an argument is wrong; nothing was sent.
            NotFoundError: the server does not know the kit.
            DecodeError: with ``outcome == "done"`` the update is carried out, its answer has another shape.
            OutcomeUnknownError: sent, and no usable answer even after repeats; setting it again is safe.
            SpotError: any other, as its tree says.
        """
        return await self._runner.call(_update(kit_id, metadata), _decode_kit)

    def update_metadata_many(
        self,
        updates: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 64,
        ordered: bool = False,
        decode: bool = True,
        stop_after: int | None = None,
    ) -> AsyncIterator[Outcome[Kit]]:
        """Set the metadata of very many kits; gives one Outcome for every row, in flat memory.

        Updates of one kit are sent in input order, one at a time; other kits run beside it. Rows are read lazily, at
        most ``2 * concurrency`` ahead of the outcomes taken, so that a slow consumer slows the sending. Leaving the
        loop ends the run: what was sent last may or may not be executed.

        Args:
            updates: ``MetadataUpdate`` or ``(kit_id, metadata)``, from an iterable or an async one. An
                ``InvalidInputError`` in place of a row is a row already known to be bad: it comes back ``rejected``.
                A plain iterable that waits, on a database say, holds up the event loop meanwhile.
            concurrency: rows under way at once; the client's own ``concurrency`` holds as well.
            ordered: give outcomes in the order of the rows, not as they come.
            decode: False gives no Kit (``value`` is None), which saves time; the answer is still checked to be JSON.
            stop_after: stop the run once this many rows were rejected, failed or ended unknown; None: never.

        Raises:
            InvalidInputError: at once, where ``updates`` or an option is unusable; a bad row is an outcome.
            BulkStopped: from the loop, after a trouble that every further row would meet (401, 403 three times in a
                row, TLS, a failing token function) or ``stop_after`` failures. Outcomes of all rows read came before.
            Exception: whatever the input raises, after the outcomes of all rows read.
        """
        check_updates(updates)
        for name, value in (("concurrency", concurrency), ("stop_after", stop_after)):
            if value is not None:
                check_count(name, value, error=InvalidInputError)
        read = _decode_kit if decode else _check_json

        async def send(update: MetadataUpdate) -> Answer[Kit]:
            answer: Answer[Any] = await self._runner.settle(_update(update.kit_id, update.metadata), read)
            return answer

        run = BulkRun(updates, send, concurrency=concurrency, ordered=ordered, stop_after=stop_after)
        return run.outcomes()

    async def get(self, kit_id: str) -> Kit:
        """Get one kit with its sample, reports and registrant.

        Raises:
            InvalidInputError: the id is wrong; nothing was sent.
            NotFoundError: the server does not know the kit.
            SpotError: any other, as its tree says. Repeating is always safe.
        """
        return await self._runner.call(GET.request(kit_id), _decode_kit)

    def list(
        self,
        *,
        email: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        phone: str | None = None,
        kit_type: str | None = None,
        has_order: bool | None = None,
        kit_status: KitStatus | str | None = None,
        sample_status: SampleStatus | str | None = None,
        created_before: date | str | None = None,
        created_after: date | str | None = None,
        updated_before: date | str | None = None,
        updated_after: date | str | None = None,
    ) -> Pages[KitSummary]:
        """List kits by their creation date; fetched page by page as it is read, may be empty.

        Args:
            email: of the person the kit is registered to, as the other three are.
            first_name: see ``email``.
            last_name: see ``email``.
            phone: see ``email``.
            kit_type: one of ``types()``.
            has_order: whether the kit belongs to an order.
            kit_status: one of KitStatus, or another word that the server knows.
            sample_status: one of SampleStatus, or another word that the server knows.
            created_before: a date, or text as ``YYYY-MM-DD``; inclusive, as the other three are.
            created_after: see ``created_before``.
            updated_before: see ``created_before``.
            updated_after: see ``created_before``.

        Raises:
            InvalidInputError: at once, where a filter is wrong; nothing was sent.
        """
        filters: dict[str, Any] = {
            "email": email,
            "first_name": first_name,
            "last_name": last_name,
            "phone": phone,
            "kit_type": kit_type,
            "has_order": has_order,
            "kit_status": kit_status,
            "sample_status": sample_status,
            "created_before": check_date("created_before", created_before),
            "created_after": check_date("created_after", created_after),
            "updated_before": check_date("updated_before", updated_before),
            "updated_after": check_date("updated_after", updated_after),
        }
        LIST.request(query=filters)  # checks the filters now, not at the first page

        async def fetch(offset: int, size: int) -> tuple[KitSummary, ...]:
            request = LIST.request(query={**filters, "results": size, "offset": offset})
            return await self._runner.call(request, _decode_summaries)

        return Pages(fetch, identify=lambda kit: kit.kit_id)

    async def types(self) -> builtins.list[str]:
        """List the kit types that the account may order; may be empty.

        Raises:
            SpotError: as its tree says. Repeating is always safe.
        """
        return [*await self._runner.call(TYPES.request(), _decode_types)]


def _update(kit_id: str, metadata: Mapping[str, Any]) -> Any:
    return UPDATE_METADATA.request(kit_id, json=metadata_body(metadata, UPDATE_METADATA.name))


def _decode_kit(reply: Reply) -> Kit:
    return codec.decode(reply.body, Kit)


def _decode_summaries(reply: Reply) -> tuple[KitSummary, ...]:
    return codec.decode(reply.body, tuple[KitSummary, ...])


def _decode_types(reply: Reply) -> tuple[str, ...]:
    return codec.decode(reply.body, tuple[str, ...])


def _check_json(reply: Reply) -> None:
    """A page of a proxy in place of the API's answer must not pass for a done update."""
    codec.decode(reply.body, dict[str, Any])
