"""An asyncio client for the Spot home-testing API: kits, orders, requisitions, patients.

Names are imported when they are first used, so that importing a model or a test plugin does not import aiohttp.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spotdx_async._pipeline.codec import dumps, loads
    from spotdx_async._pipeline.messages import Response
    from spotdx_async._version import __version__
    from spotdx_async.bulk.journal import JournalState, read_journal
    from spotdx_async.bulk.records import Journal, MetadataUpdate, OrderMetadataUpdate, Outcome, Progress
    from spotdx_async.bulk.run import BulkRun
    from spotdx_async.client import SpotClient
    from spotdx_async.config import Limiter, RateLimit, RetryPolicy, Stats
    from spotdx_async.errors import (
        AuthenticationError,
        BadRequestError,
        BulkStopped,
        ConfigError,
        DecodeError,
        InvalidInputError,
        JournalError,
        NotFoundError,
        NotSentError,
        OutcomeUnknownError,
        PermissionDeniedError,
        RateLimitError,
        ServerError,
        SpotError,
        StatusError,
    )
    from spotdx_async.models import (
        Address,
        Carrier,
        Country,
        GenotypeResult,
        Kit,
        KitEvent,
        KitStatus,
        KitSummary,
        Order,
        OrderStatus,
        QuantityResult,
        ReactivityResult,
        Recipient,
        Registrant,
        Report,
        Result,
        Sample,
        SampleEvent,
        SampleStatus,
        SampleType,
        Sex,
        Shipment,
        UnknownResult,
    )
    from spotdx_async.pagination import Pages

_HOMES = {
    "_pipeline.codec": "dumps loads",
    "_pipeline.messages": "Response",
    "_version": "__version__",
    "bulk.journal": "JournalState read_journal",
    "bulk.records": "Journal MetadataUpdate OrderMetadataUpdate Outcome Progress",
    "bulk.run": "BulkRun",
    "client": "SpotClient",
    "config": "Limiter RateLimit RetryPolicy Stats",
    "errors": "AuthenticationError BadRequestError BulkStopped ConfigError DecodeError InvalidInputError JournalError "
    "NotFoundError NotSentError OutcomeUnknownError PermissionDeniedError RateLimitError ServerError SpotError "
    "StatusError",
    "models": "Address Carrier Country GenotypeResult Kit KitEvent KitStatus KitSummary Order OrderStatus "
    "QuantityResult ReactivityResult Recipient Registrant Report Result Sample SampleEvent SampleStatus SampleType Sex "
    "Shipment UnknownResult",
    "pagination": "Pages",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Address",
    "AuthenticationError",
    "BadRequestError",
    "BulkRun",
    "BulkStopped",
    "Carrier",
    "ConfigError",
    "Country",
    "DecodeError",
    "GenotypeResult",
    "InvalidInputError",
    "Journal",
    "JournalError",
    "JournalState",
    "Kit",
    "KitEvent",
    "KitStatus",
    "KitSummary",
    "Limiter",
    "MetadataUpdate",
    "NotFoundError",
    "NotSentError",
    "Order",
    "OrderMetadataUpdate",
    "OrderStatus",
    "Outcome",
    "OutcomeUnknownError",
    "Pages",
    "PermissionDeniedError",
    "Progress",
    "QuantityResult",
    "RateLimit",
    "RateLimitError",
    "ReactivityResult",
    "Recipient",
    "Registrant",
    "Report",
    "Response",
    "Result",
    "RetryPolicy",
    "Sample",
    "SampleEvent",
    "SampleStatus",
    "SampleType",
    "ServerError",
    "Sex",
    "Shipment",
    "SpotClient",
    "SpotError",
    "Stats",
    "StatusError",
    "UnknownResult",
    "__version__",
    "dumps",
    "loads",
    "read_journal",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'spotdx_async' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"spotdx_async.{home}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
