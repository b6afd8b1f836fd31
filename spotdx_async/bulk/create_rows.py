"""The rows of runs that create, and how one of them becomes a request."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar, overload
from unicodedata import normalize
from uuid import UUID, uuid5

from attrs import define, field, frozen

from spotdx_async._codec.json import is_unicode
from spotdx_async._http.clock import NEVER_S
from spotdx_async._http.messages import Request
from spotdx_async.bulk.journal.records import CreateDigests
from spotdx_async.bulk.records import InvalidRow
from spotdx_async.bulk.row import Row
from spotdx_async.errors import InvalidInputError
from spotdx_async.models import NewOrder, NewPatient, NewRequisition

__all__ = [
    "KitActivation",
    "NewOrderRow",
    "NewPatientRow",
    "NewRequisitionRow",
    "NewRow",
]

T = TypeVar("T")

_NAMESPACE = UUID("3f9997f1-73ee-454a-8e02-e274caad5ef9")
"""Of all references of batches; drawn once."""


@frozen
class NewOrderRow:
    """One row of a bulk create of orders."""

    NEW: ClassVar[str] = "order"

    key: str
    """The caller's own name of the row, unique in its batch, such as a primary key."""
    order: NewOrder = field(repr=False)
    """What to order."""
    source: Any = field(default=None, kw_only=True, eq=False, repr=False)
    """As that of a ``MetadataUpdate``."""


@frozen
class NewRequisitionRow:
    """One row of a bulk create of requisitions."""

    NEW: ClassVar[str] = "requisition"

    key: str
    """As that of a ``NewOrderRow``."""
    requisition: NewRequisition = field(repr=False)
    """What to create."""
    source: Any = field(default=None, kw_only=True, eq=False, repr=False)
    """As that of a ``MetadataUpdate``."""


@frozen
class NewPatientRow:
    """One row of a bulk create of patients."""

    NEW: ClassVar[str] = "patient"

    key: str
    """As that of a ``NewOrderRow``."""
    patient: NewPatient = field(repr=False)
    """Whom to create."""
    source: Any = field(default=None, kw_only=True, eq=False, repr=False)
    """As that of a ``MetadataUpdate``."""


@frozen
class KitActivation:
    """One row of a bulk activation: a kit, and a patient that the vendor knows or a new one."""

    kit_id: str
    """The kit; it is the row's key."""
    patient_id: str | None = field(default=None, kw_only=True, repr=False)
    """Of a patient that the vendor knows; or"""
    patient: NewPatient | None = field(default=None, kw_only=True, repr=False)
    """a new one."""
    research_consent: bool | None = field(default=None, kw_only=True, repr=False)
    """Whether the patient agrees to research; None leaves it out."""
    source: Any = field(default=None, kw_only=True, eq=False, repr=False)
    """As that of a ``MetadataUpdate``."""

    if TYPE_CHECKING:  # so that editors miss the patient; mypy believes attrs, which takes a kit alone as well

        @overload
        def __init__(
            self,
            kit_id: str,
            *,
            patient_id: str | None,
            patient: NewPatient | None = None,
            research_consent: bool | None = None,
            source: Any = None,
        ) -> None: ...
        @overload
        def __init__(
            self,
            kit_id: str,
            *,
            patient: NewPatient | None,
            patient_id: str | None = None,
            research_consent: bool | None = None,
            source: Any = None,
        ) -> None: ...
        def __init__(self, kit_id: str, **patient: Any) -> None: ...

    @property
    def key(self) -> str:
        """The kit's id."""
        return self.kit_id


_Bad: TypeAlias = InvalidRow | InvalidInputError
OrderCreateRow: TypeAlias = NewOrderRow | tuple[str, NewOrder] | _Bad
"""A row of a bulk create of orders; an error alone stands for a bad row too, one without a ``source``."""
RequisitionCreateRow: TypeAlias = NewRequisitionRow | tuple[str, NewRequisition] | _Bad
"""The same of requisitions."""
PatientCreateRow: TypeAlias = NewPatientRow | tuple[str, NewPatient] | _Bad
"""The same of patients."""
ActivationCreateRow: TypeAlias = KitActivation | _Bad
"""The same of activations, which have a key already."""
NewRow: TypeAlias = NewOrderRow | NewRequisitionRow | NewPatientRow | KitActivation


@define(eq=False)
class CreateRow(Row):
    """A row that creates, with what is known of earlier sessions."""

    ids: CreateDigests = field(kw_only=True, repr=False)
    """Its digests for the journal."""
    likeness: bytes | None = field(default=None, kw_only=True, repr=False)
    """A digest of the person that it is for; None where it does not help to tell objects apart."""
    is_recorded: bool = field(default=False, kw_only=True)
    """Whether the journal was told that it is about to be sent, and"""
    is_intended: bool = field(default=False, kw_only=True)
    """whether that is on the disk."""
    written: "asyncio.Future[bool] | None" = field(default=None, kw_only=True, repr=False)
    """Tells, once that is there, whether it may be sent."""
    intended_s: float = field(default=NEVER_S, kw_only=True)
    """When the journal was told, on the loop's clock."""
    created: float | None = field(default=None, kw_only=True)
    """When it was executed, by the server's clock, once that is known."""
    is_known_in_doubt: bool = field(default=False, kw_only=True)
    """Whether an earlier session may have sent it, and nobody has settled that."""
    is_other: bool = field(default=False, kw_only=True)
    """Whether that session would have sent other content."""
    was_sent_before: bool = field(default=False, kw_only=True)
    """Whether a request of it was taken for lost, and it was sent again."""
    rounds: int = field(default=0, kw_only=True)
    """How often an attempt left it in doubt, other than as a probe of an outage."""


@frozen(kw_only=True)
class Creation(Generic[T]):
    """How objects of one kind are created."""

    noun: str
    row_type: type[NewRow]
    request_of: Callable[[Any, str | None], Request]
    """Returns the request for what a row holds, with its reference; raises InvalidInputError."""
    client_ref_key: str | None = None
    """The key of the reference in the metadata; None for what has no metadata."""
    id_of: Callable[[T], str | None] = lambda _answer: None
    """Returns the id of what was created."""
    is_of_key: bool = False
    """Whether the key of a row is that id, as a kit's: a journal, which holds no keys, then leaves it out."""
    id_name: str
    """Its name in an answer."""
    likeness_of: Callable[[Any], str | None] = lambda _new: None
    """Returns what the objects for one person have in common."""
    mark_of: Callable[[Request], str | None] = lambda _request: None
    """Returns what else identifies what a request creates, as ``mark_of`` of ``Listed`` does."""
    batch: str | None = None
    """The name of the batch; None for rows whose keys need none."""

    def read(self, item: object) -> tuple[str, Any]:
        """Return the key of an item and what it holds.

        Raises:
            InvalidInputError: it is no such row, or stands for a bad one, or its key cannot be one.
        """
        if isinstance(item, InvalidInputError):
            raise item
        if isinstance(item, InvalidRow):
            raise item.error
        if isinstance(item, self.row_type):
            key: Any = item.key
            new: Any = item if isinstance(item, KitActivation) else getattr(item, item.NEW)
        elif isinstance(item, (tuple, list)) and len(item) == 2 and self.row_type is not KitActivation:  # noqa: PLR2004
            key, new = item
        else:
            pair = "" if self.row_type is KitActivation else f" or a pair of a key and a New{self.noun.capitalize()}"
            message = f"a row must be a {self.row_type.__name__}{pair}, not {type(item).__name__}"
            raise InvalidInputError(message)
        if not isinstance(key, str) or not key.strip() or not is_unicode(key):
            raise InvalidInputError("the key must be text, valid Unicode and not empty; nothing was sent")
        return key, new

    def reference_of(self, key: str, new: Any) -> str | None:
        """Return the reference of a row: always the same for one key of one batch, unless the row has its own.

        One key in two forms of Unicode is one key.
        """
        if self.client_ref_key is None or self.batch is None:
            return None
        metadata = getattr(new, "metadata", None)
        own = metadata.get(self.client_ref_key) if isinstance(metadata, Mapping) else None
        return None if own is not None else str(uuid5(uuid5(_NAMESPACE, self.batch), normalize("NFC", key)))


def a(noun: str) -> str:
    """Return the noun with its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
