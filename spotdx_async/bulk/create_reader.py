"""Reads the rows of a run that creates: each is checked as a whole, written once, and known by its key."""

import json
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import Any, ClassVar
from unicodedata import normalize

from attrs import evolve

from spotdx_async._http import clock
from spotdx_async._http.messages import Request
from spotdx_async.bulk.create_rows import CreateRow, Creation, a
from spotdx_async.bulk.first_look import FirstLook
from spotdx_async.bulk.journal.batch_index import BatchIndex
from spotdx_async.bulk.journal.creates_file import KnownCreate, RowEntry, Settled
from spotdx_async.bulk.journal.creates_writer import CreatesWriter
from spotdx_async.bulk.journal.reading import CODES, PARKED
from spotdx_async.bulk.journal.records import CreateDigests, Digester, Known
from spotdx_async.bulk.reader import Reader, shown_key
from spotdx_async.bulk.records import InvalidRow, Outcome, SharedByRowsError
from spotdx_async.bulk.row import Effect, Row
from spotdx_async.errors import InvalidInputError, OutcomeUnknownError

_DOUBTFUL = frozenset({CODES["unknown"], PARKED})
_TAKEN = _DOUBTFUL | {CODES["ok"]}


class CreateReader(Reader):
    """Returns each row of the input, either as a row to send or with its outcome."""

    EFFECT: ClassVar[Effect] = "creates"

    book: CreatesWriter
    """The journal; set before the first row is read, and so is ``index``."""
    index: BatchIndex
    """The keys so far, and what was found before the run began. Whoever sets it closes it."""

    def __init__(
        self, rows: Iterable[Any] | AsyncIterable[Any], creation: Creation[Any], *, is_of_batch: bool = True
    ) -> None:
        """Take the rows.

        Args:
            rows: from the caller.
            creation: how one becomes a request.
            is_of_batch: whether the journal is of the batch whose references the rows get.
        """
        super().__init__(rows, None)
        self._creation, self._is_of_batch = creation, is_of_batch
        self.first_look: FirstLook | None = None
        """Looks at what was there before the run began; None if nobody does."""
        self.taken_s: float = clock.NEVER_S
        """When the last item was taken from the input, on the loop's clock."""
        self.on_twins: Callable[[str, tuple[str, ...]], object] = lambda _first, _others: None
        """Called with the id of an object that was there before, and those of others with its reference."""

    async def _known(self) -> Known | None:
        return None  # rows are known by their keys, whatever their numbers

    async def _taken(self, item: object, known: Known | None) -> Row | Outcome[Any] | None:  # noqa: ARG002
        """Turn an item into a row. Nothing waits here, so that a row that was taken from the input comes out."""
        number, self.taken_s = self.read, clock.now()
        key, request, likeness, is_own = self._parts(item)
        source = item.source if isinstance(item, (self._creation.row_type, InvalidRow)) else None
        digests = None if key is None else self._digests(key, request, is_own=is_own)
        earlier = None if digests is None else self.book.known(digests.key)
        if earlier is not None and digests is not None and not self._is_of_batch:
            digests = evolve(digests, reference=earlier.reference)  # what it was sent with is what counts
        first = number if digests is None else self.index.first_with(digests.key, number)
        if key is None or digests is None or isinstance(request, InvalidInputError):
            assert isinstance(request, InvalidInputError)  # noqa: S101 - a row without a key has a fault
            # The journal may not show yet that an earlier row of the key is on its way: that must stay there.
            if digests is not None and earlier is None and first == number:
                self.book.record(RowEntry(number, CODES["rejected"], digests))
            shown = shown_key(key or "", item)
            placed = self._placed(key, earlier) if earlier is not None and first == number else None
            return Outcome(index=number, key=shown, state="rejected", error=request, object_id=placed, source=source)
        fault = _taken_by(first, "key") if first != number else self._shared_reference(number, digests)
        if fault is not None:
            return Outcome(index=number, key=key, state="rejected", error=fault, source=source)
        if earlier is not None and earlier.state == CODES["ok"]:
            return self._done_before(number, key, digests, earlier, source)
        row = CreateRow(
            number, key, request.body or b"", None, source, "creates", request, ids=digests, likeness=likeness
        )
        if earlier is not None and earlier.state in _DOUBTFUL:
            row.is_known_in_doubt = row.attempt_state.may_be_executed = True
            row.is_other = earlier.content != digests.content
        return self.found_before(row) or row

    def _shared_reference(self, number: int, digests: CreateDigests) -> InvalidInputError | None:
        """Return what is wrong with a reference by which another row would be found too.

        One of the caller's own may be that of another row of the batch, as where metadata are copied from an object.
        """
        if digests.reference is None:
            return None
        if (first := self.index.first_with(digests.reference, number)) != number:
            return _taken_by(first, "reference in its metadata")
        other = self.book.with_reference(digests.reference)
        if other is None or other.key == digests.key or other.state not in _TAKEN:
            return None
        return InvalidInputError(
            "a row of an earlier session, with another key, has the same reference in its metadata; nothing was sent"
        )

    def is_of_another(self, row: CreateRow, object_id: str) -> bool:
        """Return whether what a row seems to have created is what another one has: an answer need not show whose it is.

        Raises:
            JournalError: the journal, or the index, cannot be read any more.
        """
        name = self.book.digester.named("object", object_id.encode("utf-8", "surrogatepass"))
        if self.index.first_with(name, row.index) != row.index:
            return True
        known = self.book.with_object(object_id)
        return known is not None and known.key != row.ids.key

    def _parts(self, item: Any) -> tuple[str | None, Request | InvalidInputError, bytes | None, bool]:
        """Return an item's key, its request or fault, its likeness, and whether it has a reference of its own."""
        key: str | None = None
        try:
            key, new = self._creation.read(item)
            reference = self._creation.reference_of(key, new)
            request = self._creation.request_of(new, reference)
        except InvalidInputError as raised:
            fault = raised.with_traceback(None)  # the frames hold the row
        else:
            likeness = self._creation.likeness_of(new)
            digest = None if likeness is None else likeness_digest(self.book.digester, likeness)
            return key, request, digest, reference is None
        return key, fault, None, False

    def _digests(self, key: str, request: Request | InvalidInputError, *, is_own: bool) -> CreateDigests:
        digester = self.book.digester
        of_key = digester.create_key(key)
        if isinstance(request, InvalidInputError):
            return CreateDigests(of_key, digester.named("content", b""))
        clue = request.clue
        reference = None if clue is None or clue.client_ref is None else reference_digest(digester, clue.client_ref)
        written = self._creation.mark_of(request)
        mark = None if written is None else mark_digest(digester, written)
        content = _in_one_order(request.body or b"", without=None if is_own else self._creation.client_ref_key)
        return CreateDigests(of_key, digester.named("content", content), reference, mark)

    def _done_before(
        self, number: int, key: str, digests: CreateDigests, earlier: KnownCreate, source: Any
    ) -> Outcome[Any]:
        object_id = self._placed(key, earlier)
        if earlier.content == digests.content:
            return Outcome(index=number, key=key, state="skipped", object_id=object_id, source=source)
        return other_content(number, key, object_id, source)

    def _placed(self, key: str | None, earlier: KnownCreate) -> str | None:
        """Return the id of what was created for a row; a journal does not hold one that is the key."""
        return key if self._creation.is_of_key and earlier.state == CODES["ok"] else earlier.object_id

    def found_before(self, row: CreateRow) -> Outcome[Any] | None:
        """Return the outcome of a row that was found, or may be among what was seen, before the run began."""
        ids = row.ids
        if self.first_look is None or ids.reference is None:
            return None
        looked = self.first_look.since
        by_mark = [] if ids.mark is None else self.index.found(ids.mark)
        if by_reference := self.index.found(ids.reference):
            return self._found_before(row, by_reference, looked)
        noun = self._creation.noun
        if by_mark and ids.mark is not None:
            if self.index.first_with(ids.mark, row.index) == row.index:
                return self._found_before(row, by_mark, looked)
            why = f"{a(noun)} without metadata may be that of an earlier row with the same barcode, or this one"
        elif self.index.has_bare(*(each for each in (row.likeness, ids.mark) if each is not None)):
            why = f"{a(noun)} for the same person, or with the same barcode, shows no reference, and may be this one"
        else:
            return None
        parked = Settled(ids.key, PARKED) if row.is_known_in_doubt else RowEntry(row.index, PARKED, ids, looked)
        self.book.record(parked)
        error = OutcomeUnknownError(f"{why}, so nothing was sent", reason="unreadable", clue=row.target.clue)
        return Outcome(index=row.index, key=row.key, state="unknown", error=error, source=row.source)

    def _found_before(self, row: CreateRow, objects: Sequence[tuple[str, float | None]], looked: float) -> Outcome[Any]:
        """Return the outcome of a row whose object, or several of them, was there before the run began."""
        (object_id, created), *others = objects
        self.on_twins(object_id, tuple(an_id for an_id, _ in others))
        if row.is_other:
            self.book.record(Settled(row.ids.key, CODES["ok"], object_id, created))
            return other_content(row.index, row.key, object_id, row.source)
        self.book.record(RowEntry(row.index, CODES["ok"], row.ids, looked, object_id, created))
        return Outcome(index=row.index, key=row.key, state="skipped", object_id=object_id, source=row.source)

    def _end(self) -> None:
        self.is_read_up = True


def _in_one_order(body: bytes, *, without: str | None) -> bytes:
    """Return the JSON with the keys of its objects in one order, and its texts in one Unicode form.

    Neither says anything of content: columns of a file move, and programs write letters composed or decomposed.

    Args:
        body: of a request.
        without: the key of a reference that was made of the batch and the row's key, and is no content of the row.
    """

    def number(text: str) -> dict[str, str]:
        return {"number": text}  # as it is written, of any length, and never the same as a text

    try:
        content = json.loads(body, parse_int=number, parse_float=number)
        if without is not None:
            del content["metadata"][without]
        text = json.dumps(content, sort_keys=True, ensure_ascii=False)
        return normalize("NFC", text).encode("utf-8", "surrogatepass")
    except (ValueError, KeyError, RecursionError):
        return body


def _taken_by(first: int, what: str) -> InvalidInputError:
    return SharedByRowsError(
        f"the row with index {first} has the same {what}, which must be unique in the batch; nothing was sent",
        first=first,
        what=what,
    )


def other_content(number: int, key: str, object_id: str | None, source: Any) -> Outcome[Any]:
    """Return the outcome of a row that was executed with other content before."""
    message = "placed before with other content under this key, so nothing was sent: a new one needs a key of its own"
    error = InvalidInputError(message)
    return Outcome(index=number, key=key, state="rejected", error=error, object_id=object_id, source=source)


def reference_digest(digester: Digester, reference: str) -> bytes:
    """Return what a journal keeps of a reference."""
    return digester.named("reference", reference.encode("utf-8", "surrogatepass"))


def mark_digest(digester: Digester, mark: str) -> bytes:
    """Return what a journal keeps of a barcode."""
    return digester.named("mark", mark.encode("utf-8", "surrogatepass"))


def likeness_digest(digester: Digester, likeness: str) -> bytes:
    """Return what a run keeps of the person that something is for."""
    return digester.named("likeness", likeness.encode("utf-8", "surrogatepass"))
