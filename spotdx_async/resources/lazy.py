"""What clients and nouns need for more than to be there, imported when it is first asked for.

A call needs its runner; runs, feeds and reconciliations need much more, which most programs never use.
"""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async._http.runner import Runner
    from spotdx_async._observe.dispatch import dispatcher_of
    from spotdx_async._requests.object_search import Look
    from spotdx_async._requests.operation import unlisted_request
    from spotdx_async.bulk.create_rows import (
        ActivationCreateRow,
        Creation,
        KitActivation,
        NewOrderRow,
        NewPatientRow,
        NewRequisitionRow,
        OrderCreateRow,
        PatientCreateRow,
        RequisitionCreateRow,
    )
    from spotdx_async.bulk.creates import checked_batch, checked_key, create_run, getter
    from spotdx_async.bulk.kit_look import KitLook
    from spotdx_async.bulk.list_look import ListLook
    from spotdx_async.bulk.listed import Listed, evidence_of
    from spotdx_async.bulk.options import CreateOptions, ReadOptions, UpdateOptions
    from spotdx_async.bulk.reads import read_run
    from spotdx_async.bulk.records import InvalidRow, KitRow, MetadataUpdate, OrderMetadataUpdate, OrderRow
    from spotdx_async.bulk.run import BulkRun
    from spotdx_async.bulk.updates import metadata_run
    from spotdx_async.changes.feed import ChangeOptions, Changes
    from spotdx_async.changes.objects import Source
    from spotdx_async.changes.waiting import wait_until
    from spotdx_async.observers import AttemptRecord, Observer, PauseRecord, RetryRecord
    from spotdx_async.reconciliation import Reconciliation, clue_and_times, clue_of, nothing_known, reconcile

_HOMES = {
    "_http.runner": "Runner",
    "_observe.dispatch": "dispatcher_of",
    "_requests.object_search": "Look",
    "_requests.operation": "unlisted_request",
    "bulk.create_rows": "ActivationCreateRow Creation KitActivation NewOrderRow NewPatientRow NewRequisitionRow "
    "OrderCreateRow PatientCreateRow RequisitionCreateRow",
    "bulk.creates": "checked_batch checked_key create_run getter",
    "bulk.kit_look": "KitLook",
    "bulk.list_look": "ListLook",
    "bulk.listed": "Listed evidence_of",
    "bulk.options": "CreateOptions ReadOptions UpdateOptions",
    "bulk.reads": "read_run",
    "bulk.records": "InvalidRow KitRow MetadataUpdate OrderMetadataUpdate OrderRow",
    "bulk.run": "BulkRun",
    "bulk.updates": "metadata_run",
    "changes.feed": "ChangeOptions Changes",
    "changes.objects": "Source",
    "changes.waiting": "wait_until",
    "observers": "AttemptRecord Observer PauseRecord RetryRecord",
    "reconciliation": "Reconciliation clue_and_times clue_of nothing_known reconcile",
}

__all__ = [
    "ActivationCreateRow",
    "AttemptRecord",
    "BulkRun",
    "ChangeOptions",
    "Changes",
    "CreateOptions",
    "Creation",
    "InvalidRow",
    "KitActivation",
    "KitLook",
    "KitRow",
    "ListLook",
    "Listed",
    "Look",
    "MetadataUpdate",
    "NewOrderRow",
    "NewPatientRow",
    "NewRequisitionRow",
    "Observer",
    "OrderCreateRow",
    "OrderMetadataUpdate",
    "OrderRow",
    "PatientCreateRow",
    "PauseRecord",
    "ReadOptions",
    "Reconciliation",
    "RequisitionCreateRow",
    "RetryRecord",
    "Runner",
    "Source",
    "UpdateOptions",
    "checked_batch",
    "checked_key",
    "clue_and_times",
    "clue_of",
    "create_run",
    "dispatcher_of",
    "evidence_of",
    "getter",
    "metadata_run",
    "nothing_known",
    "read_run",
    "reconcile",
    "unlisted_request",
    "wait_until",
]

if not TYPE_CHECKING:
    __getattr__ = names_from(__name__, _HOMES)
