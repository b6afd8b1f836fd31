"""A row of a bulk create on the fake server, and what a run did with it."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from spotdx_async import (
    JournalError,
    KitActivation,
    NotSentError,
    Outcome,
    OutcomeUnknownError,
    SpotClient,
    SpotError,
    StatusError,
)
from spotdx_async.bulk.journal.creates_writer import CreatesWriter
from spotdx_async.testing import FakeSpot
from tests.matrix.create_page import CreateFault
from tests.new_objects import ADDRESS, ORDER, PATIENT, RECIPIENT, REQUISITION

KITS: Final = ("SPOT0", "SPOT1")


@attrs.define
class Ran:
    """What one run did with the row."""

    outcome: Outcome[Any] | None = None
    error: SpotError | None = None
    """Which the run ended with."""
    sent: int = 0
    """Requests for the row."""
    looks: int = 0
    """Lists, and gets of kits, before it had its outcome."""
    duplicates: int = 0
    is_unaudited: bool = False
    """Whether duplicates could not be looked for."""

    @property
    def known(self) -> str:
        """What was known of the row when its last attempt had ended."""
        state = None if self.outcome is None else self.outcome.state
        if state == "unknown" or self.looks:
            return "in doubt"
        if state == "ok":
            return "executed" if self.sent == 1 else "not executed"
        return "not executed" if state == "failed" and self.sent else "nothing was sent"

    @property
    def known_after_a_kill(self) -> str:
        """The same of the row of a killed process, by what the next run does."""
        return "in doubt" if self.known == "in doubt" else "nothing was sent"

    @property
    def became(self) -> str:
        """What became of it in the first run."""
        if self.outcome is None or self.outcome.state != "ok":
            return self._told(_state(self.outcome))
        if self.sent > 1:
            return self._told("ok, sent again")
        return self._told("ok, found" if self.looks else "ok")

    @property
    def became_again(self) -> str:
        """The same in the next run."""
        if self.outcome is None or self.outcome.state != "ok":
            return self._told(_state(self.outcome))
        if not self.sent:
            return self._told("ok, found")
        return self._told("ok, looked for and sent" if self.looks else "ok, sent")

    def _told(self, state: str) -> str:
        parts = [state]
        if self.outcome is not None and self.outcome.state in {"skipped", "rejected"} and self.outcome.object_id:
            parts.append("with its id")
        if self.error is not None:
            parts.append(f"then {_named(self.error)}")
        if self.duplicates:
            parts.append("told as a duplicate")
        if self.is_unaudited:
            parts.append("told that the audit failed")
        return ", ".join(parts)


@attrs.define
class Stage:
    """The server, and what the runs are made with."""

    fault: CreateFault
    fake: FakeSpot
    journal: Path
    patch: pytest.MonkeyPatch
    run: dict[str, Any] = attrs.Factory(dict)
    batch: str = "cohort-7"
    rows: list[Any] = attrs.Factory(list)
    on_outcome: Callable[[], Awaitable[None]] | None = None
    other: CreatesWriter | None = None
    """Another process's hold of the journal."""

    @property
    def is_of_kits(self) -> bool:
        return self.fault.noun == "kits"

    @property
    def created(self) -> list[str]:
        """The ids of what came of the row."""
        return [each.an_id for each in self.fake.creations if _is_of_row(each.body)]

    @property
    def sent(self) -> int:
        """Requests for the row so far."""
        return sum(each.method == "POST" and _is_of_row(each.body) for each in self.fake.requests)

    def start(self, spot: SpotClient) -> Any:
        """Return the run."""
        if self.is_of_kits:
            return spot.kits.activate_many(self.rows, journal=self.journal, **self.run)
        noun = getattr(spot, self.fault.noun)
        return noun.create_many(self.rows, batch=self.batch, journal=self.journal, **self.run)

    @property
    def looks(self) -> int:
        """Lists, or gets of kits, so far."""
        return self.fake.operation_counts["kits.get" if self.is_of_kits else f"{self.fault.noun}.list"]

    def key(self, number: int) -> str:
        """Return the key of a row: 0 is the one before, 1 the one that meets the fault."""
        return KITS[number] if self.is_of_kits else f"P-{number}"

    def row(self, number: int) -> Any:
        """Return a row."""
        email = f"row{number}@example.com"
        if self.is_of_kits:
            return KitActivation(KITS[number], patient=attrs.evolve(PATIENT, email=email))
        if self.fault.noun == "orders":
            return self.key(number), attrs.evolve(ORDER, recipient=attrs.evolve(RECIPIENT, email=email))
        if self.fault.noun == "patients":
            return self.key(number), attrs.evolve(PATIENT, email=email)
        patient = attrs.evolve(PATIENT, email=email, address=ADDRESS)
        return self.key(number), attrs.evolve(REQUISITION, barcode=f"7774293832{number}", patient=patient)


def _is_of_row(body: Any) -> bool:
    return "row1@example.com" in json.dumps(body)


def _state(outcome: Outcome[Any] | None) -> str:
    if outcome is None:
        return "no outcome"
    if outcome.error is None:
        return outcome.state
    return f"{outcome.state}: {_named(outcome.error)}"


def _named(error: SpotError) -> str:
    facts = (
        [error.reason] if isinstance(error, (NotSentError, OutcomeUnknownError, JournalError)) else [],
        [str(error.status)] if isinstance(error, StatusError) else [],
    )
    return " ".join([type(error).__name__, *(str(fact) for some in facts for fact in some if fact)])
