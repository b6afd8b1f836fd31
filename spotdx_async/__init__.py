"""An asyncio client for the Spot home-testing API: kits, orders, requisitions, patients.

Names are imported on first use, so that importing a model or the test plugin does not import aiohttp.
"""

from spotdx_async._lazy import names_from

# The name for type checkers: importing it from typing would take most of the time of importing this package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async._codec.codec import dumps, loads, to_dict
    from spotdx_async._http.messages import Response
    from spotdx_async._http.rate_limiter import RateLimiter
    from spotdx_async._requests.validation import check_new
    from spotdx_async._version import __version__
    from spotdx_async.bulk.create_rows import KitActivation, NewOrderRow, NewPatientRow, NewRequisitionRow
    from spotdx_async.bulk.journal.reading import read_journal
    from spotdx_async.bulk.journal.records import AcceptedInput, JournalState
    from spotdx_async.bulk.records import InvalidRow, Journal, MetadataUpdate, OrderMetadataUpdate, Outcome, Progress
    from spotdx_async.bulk.run import BulkRun
    from spotdx_async.changes import Batch, ChangeCounts, Changes, Unread
    from spotdx_async.client import SpotClient
    from spotdx_async.config import AdaptiveRateLimit, Limiter, RateLimit, RetryPolicy, Stats
    from spotdx_async.errors import (
        AuthenticationError,
        BadRequestError,
        BulkStopped,
        Clue,
        ConfigError,
        DecodeError,
        FailureCause,
        InvalidInputError,
        JournalError,
        LinkExpiredError,
        NotFoundError,
        NotSentError,
        OutcomeUnknownError,
        PermissionDeniedError,
        RateLimitError,
        ServerError,
        SpotError,
        StatusError,
        WaitTimeoutError,
        WrongAnswerError,
    )
    from spotdx_async.models import (
        Activation,
        ActivationResult,
        Address,
        Carrier,
        Country,
        GenotypeResult,
        Kit,
        KitEvent,
        KitStatus,
        KitSummary,
        NewOrder,
        NewPatient,
        NewRequisition,
        Order,
        OrderStatus,
        OrderSummary,
        Patient,
        QuantityResult,
        ReactivityResult,
        Recipient,
        Registrant,
        RegistrationToken,
        Report,
        Requisition,
        RequisitionAttributes,
        RequisitionEvent,
        RequisitionStatus,
        RequisitionSummary,
        Result,
        Sample,
        SampleEvent,
        SampleStatus,
        SampleType,
        Sex,
        Shipment,
        Tracking,
        UnknownResult,
    )
    from spotdx_async.observers import (
        AttemptRecord,
        EndRecord,
        GateRecord,
        Observer,
        PauseRecord,
        RetryRecord,
        SubjectRecord,
    )
    from spotdx_async.pagination import Pages
    from spotdx_async.reconciliation import Reconciliation
    from spotdx_async.resources.reports import SavedFile

_HOMES = {
    "_requests.validation": "check_new",
    "_codec.codec": "dumps loads to_dict",
    "_http.rate_limiter": "RateLimiter",
    "_http.messages": "Response",
    "observers": "AttemptRecord EndRecord GateRecord Observer PauseRecord RetryRecord SubjectRecord",
    "_version": "__version__",
    "bulk.create_rows": "KitActivation NewOrderRow NewPatientRow NewRequisitionRow",
    "bulk.journal.reading": "read_journal",
    "bulk.journal.records": "AcceptedInput JournalState",
    "bulk.records": "InvalidRow Journal MetadataUpdate OrderMetadataUpdate Outcome Progress",
    "bulk.run": "BulkRun",
    "changes": "Batch ChangeCounts Changes Unread",
    "client": "SpotClient",
    "config": "AdaptiveRateLimit Limiter RateLimit RetryPolicy Stats",
    "errors": "AuthenticationError BadRequestError BulkStopped Clue ConfigError DecodeError FailureCause "
    "InvalidInputError JournalError LinkExpiredError NotFoundError NotSentError OutcomeUnknownError "
    "PermissionDeniedError RateLimitError ServerError SpotError StatusError WaitTimeoutError WrongAnswerError",
    "models": "Activation ActivationResult Address Carrier Country GenotypeResult Kit KitEvent KitStatus "
    "KitSummary NewOrder NewPatient NewRequisition Order OrderStatus OrderSummary Patient "
    "QuantityResult ReactivityResult Recipient Registrant RegistrationToken Report Requisition "
    "RequisitionAttributes RequisitionEvent RequisitionStatus RequisitionSummary Result Sample "
    "SampleEvent SampleStatus SampleType Sex Shipment Tracking UnknownResult",
    "pagination": "Pages",
    "reconciliation": "Reconciliation",
    "resources.reports": "SavedFile",
}
__all__ = [
    "AcceptedInput",
    "Activation",
    "ActivationResult",
    "AdaptiveRateLimit",
    "Address",
    "AttemptRecord",
    "AuthenticationError",
    "BadRequestError",
    "Batch",
    "BulkRun",
    "BulkStopped",
    "Carrier",
    "ChangeCounts",
    "Changes",
    "Clue",
    "ConfigError",
    "Country",
    "DecodeError",
    "EndRecord",
    "FailureCause",
    "GateRecord",
    "GenotypeResult",
    "InvalidInputError",
    "InvalidRow",
    "Journal",
    "JournalError",
    "JournalState",
    "Kit",
    "KitActivation",
    "KitEvent",
    "KitStatus",
    "KitSummary",
    "Limiter",
    "LinkExpiredError",
    "MetadataUpdate",
    "NewOrder",
    "NewOrderRow",
    "NewPatient",
    "NewPatientRow",
    "NewRequisition",
    "NewRequisitionRow",
    "NotFoundError",
    "NotSentError",
    "Observer",
    "Order",
    "OrderMetadataUpdate",
    "OrderStatus",
    "OrderSummary",
    "Outcome",
    "OutcomeUnknownError",
    "Pages",
    "Patient",
    "PauseRecord",
    "PermissionDeniedError",
    "Progress",
    "QuantityResult",
    "RateLimit",
    "RateLimitError",
    "RateLimiter",
    "ReactivityResult",
    "Recipient",
    "Reconciliation",
    "Registrant",
    "RegistrationToken",
    "Report",
    "Requisition",
    "RequisitionAttributes",
    "RequisitionEvent",
    "RequisitionStatus",
    "RequisitionSummary",
    "Response",
    "Result",
    "RetryPolicy",
    "RetryRecord",
    "Sample",
    "SampleEvent",
    "SampleStatus",
    "SampleType",
    "SavedFile",
    "ServerError",
    "Sex",
    "Shipment",
    "SpotClient",
    "SpotError",
    "Stats",
    "StatusError",
    "SubjectRecord",
    "Tracking",
    "UnknownResult",
    "Unread",
    "WaitTimeoutError",
    "WrongAnswerError",
    "__version__",
    "check_new",
    "dumps",
    "loads",
    "read_journal",
    "to_dict",
]

if not TYPE_CHECKING:  # a checker that saw it would take any name for one of these
    __getattr__ = names_from(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
