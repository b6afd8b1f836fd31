"""Orders: their metadata and their state."""

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any

from spotdx_async._pipeline import codec
from spotdx_async._pipeline.messages import Reply, Request, Try
from spotdx_async._pipeline.operation import Operation, metadata_body
from spotdx_async._pipeline.runner import Runner
from spotdx_async.bulk.records import Journal, OrderMetadataUpdate, Progress, Update
from spotdx_async.bulk.run import BulkRun, Job
from spotdx_async.models import Order

__all__ = ["OPERATIONS", "Orders"]

UPDATE_METADATA = Operation("POST", "/api/v2/orders/{order_id}/", is_replay_safe=True)
GET = Operation("GET", "/api/v2/orders/{order_id}/", is_replay_safe=True)
OPERATIONS = (UPDATE_METADATA, GET)
"""Source: the order endpoints of the vendor's API reference, version 2."""


class Orders:
    """What can be asked about orders. Reached as ``spot.orders``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def update_metadata(self, order_id: str, metadata: Mapping[str, Any]) -> Order:
        """Replace an order's metadata, and get the order.

        The call replaces the whole value: a key that is left out is gone. Repeating it is safe, and the SDK does so.

        Args:
            order_id: not empty, ``.`` or ``..``, no control character.
            metadata: string keys, JSON values; no NaN or infinity.

        Raises:
            InvalidInputError: an argument is wrong; nothing was sent.
            NotFoundError: the server does not know the order.
            DecodeError: with ``outcome == "done"`` the update is carried out, its answer has another shape.
            OutcomeUnknownError: sent, and no usable answer even after repeats; setting it again is safe.
            SpotError: any other, as its tree says.
        """
        return await self._runner.call(_update(order_id, metadata), _decode_order)

    def update_metadata_many(
        self,
        updates: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 64,
        ordered: bool = False,
        decode: bool = True,
        journal: str | os.PathLike[str] | Journal | None = None,
        coalesce: bool = False,
        progress: Callable[[Progress], object] | None = None,
        stop_after: int | None = None,
        outage_limit: float = 1800.0,
    ) -> BulkRun[Order]:
        """Replace the metadata of very many orders; gives one Outcome for every row, in flat memory.

        All that ``spot.kits.update_metadata_many`` says of order, repeats, outages, arguments and errors holds here.

        Args:
            updates: ``OrderMetadataUpdate`` or ``(order_id, metadata)``, from an iterable or an async one.
            concurrency: rows under way at once.
            ordered: give outcomes in the order of the rows, not as they come.
            decode: False gives no Order (``value`` is None), which saves time.
            journal: a file in which the run writes down which rows are done, so that the same call resumes it.
            coalesce: a newer update of an order takes the place of an older one that has not been sent yet.
            progress: called with a Progress every half second, and at the end.
            stop_after: stop the run once this many rows were rejected, failed or ended unknown; None: never.
            outage_limit: stop the run after an outage of so many seconds.

        Raises:
            InvalidInputError: at once, where ``updates`` or an option is unusable; a bad row is an outcome.
            JournalError: from the loop, where the journal cannot be used.
            BulkStopped: from the loop, after a trouble that every further row would meet.
            Exception: whatever the input or ``progress`` raises, after the outcomes of all rows read.
        """
        runner = self._runner.without_bounds()
        read = _decode_order if decode else _check_json

        async def send(update: Update, is_repeat: bool, may_go: Callable[[], bool]) -> Try:
            request = _update(update.key, update.metadata)
            return await runner.attempt(request, read, is_repeat=is_repeat, may_go=may_go)

        job = Job(
            kind=OrderMetadataUpdate,
            send=send,
            operation=UPDATE_METADATA.name,
            server=runner.road.transport.base_url,
            policy=runner.options.retry,
            timeout_s=runner.options.timeout_s,
        )
        return BulkRun(
            updates,
            job,
            concurrency=concurrency,
            ordered=ordered,
            coalesce=coalesce,
            journal=journal,
            progress=progress,
            stop_after=stop_after,
            outage_limit=outage_limit,
        )

    async def get(self, order_id: str) -> Order:
        """Get one order with its recipient, metadata and kits.

        Raises:
            InvalidInputError: the id is wrong; nothing was sent.
            NotFoundError: the server does not know the order.
            SpotError: any other, as its tree says. Repeating is always safe.
        """
        return await self._runner.call(GET.request(order_id), _decode_order)


def _update(order_id: str, metadata: Mapping[str, Any]) -> Request:
    return UPDATE_METADATA.request(order_id, json=metadata_body(metadata, UPDATE_METADATA.name))


def _decode_order(reply: Reply) -> Order:
    return codec.decode(reply.body, Order)


def _check_json(reply: Reply) -> None:
    codec.check_object(reply.body)
