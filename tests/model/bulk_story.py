"""What a seed's bulk run is to be like: its rows, its options, and what happens to each of its sessions."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

import attrs

from spotdx_async import InvalidInputError, MetadataUpdate, Progress, RateLimit, RetryPolicy
from tests.model.server import DOUBTFUL, FOREIGN, NOT_ARRIVED, NOT_EXECUTED, RAW_CANCELS, Weather
from tests.model.world import Foreign, ForeignBase

InputForm = Literal["list", "generator", "async generator", "one dict", "async one dict"]
Ending = Literal[
    "to the end", "break", "break and linger", "break inside with", "break and aclose", "raise inside with"
]
ENDINGS: tuple[Ending, ...] = (
    "break",
    "break and linger",
    "break inside with",
    "break and aclose",
    "raise inside with",
)
Deed = Literal["stop", "close", "aclose", "cancel", "cancel twice", "cancel thrice", "kill"]

DEEDS: tuple[Deed, ...] = ("stop", "stop", "close", "close", "cancel", "cancel twice", "cancel thrice")
MOMENTS_S = (0.0, 0.01, 0.1, 1.0, 10.0, 60.0)


@attrs.define
class SessionStory:
    """One session: what it meets."""

    weather: Weather
    form: InputForm
    raises_at: int | None = None
    raises: Any = None
    ending: Ending = "to the end"
    leaves_after: int = 0
    deeds: list[tuple[float, int, Deed]] = attrs.field(factory=list)
    """When, after how many steps of the loop, what."""
    limiter: str | None = None
    token: str = "fixed"
    progress: str = "none"
    closing_raises: bool = False
    """Whether the input raises when it is closed."""
    disk_fails: bool = False
    """Whether the journal cannot always be written."""
    hook: str = "none"
    """What the client's ``on_attempt`` does: it stops the run some time, or raises."""
    consumer_s: float = 0.0
    input_s: float = 0.0
    rests_s: float = float("inf")
    """Seconds between its end and the next session, where that does not wait until nothing of it can land."""


@attrs.define
class BulkStory:
    """A whole run, of one session or, with a journal, of several."""

    rows: list[Any]
    has_journal: bool
    options: dict[str, Any]
    client_options: dict[str, Any]
    rate: float | None
    sessions: list[SessionStory]

    @property
    def lands_within_s(self) -> float:
        """Seconds after which a request that was sent has been executed, or never will be."""
        return float(max(self.client_options["lands_within_s"], self.client_options["timeout_s"]))


def draw(dice: random.Random) -> BulkStory:
    """Throw the dice for a run."""
    has_journal = dice.random() < 0.4
    count, kits = dice.randrange(1, 40), dice.choice([1, 2, 2, 3, 6])
    rows = [_row(dice, n, kits) for n in range(count)]
    sessions = [_session(dice, count, is_last=False) for _ in range(dice.randrange(1, 5) if has_journal else 1)]
    if has_journal:
        sessions.append(_session(dice, count, is_last=True))
    return BulkStory(
        rows=rows,
        has_journal=has_journal,
        options={
            "concurrency": dice.randrange(1, 9),
            "ordered": dice.random() < 0.3,
            "coalesce": dice.random() < 0.25,
            "decode": dice.random() < 0.5,
            "stop_after": None if has_journal else dice.choice([None, None, None, 1, 2, 5]),
            "outage_limit": dice.choice([60.0, 600.0]),
        },
        client_options={
            "timeout_s": dice.choice([1.0, 3.0, 10.0]),
            "lands_within_s": dice.choice([2.0, 20.0, 60.0]),
            "max_pause_s": dice.choice([5.0, 60.0]),
            "concurrency": dice.randrange(1, 9),
            "retry": dice.choice([RetryPolicy(), RetryPolicy(max_attempts=1), RetryPolicy(base_s=1.0)]),
        },
        rate=dice.choice([None, None, 2.0, 20.0]),
        sessions=sessions,
    )


def _row(dice: random.Random, n: int, kits: int) -> Any:
    kit_id, metadata = f"SPOT{dice.randrange(kits)}", {"n": n, "of": ["a", n]}
    odd = dice.random()
    if odd < 0.02:
        return dice.choice([("", metadata), (kit_id, {"x": float("nan")}), InvalidInputError("known to be bad"), 7])
    return MetadataUpdate(kit_id, metadata) if odd < 0.1 else (kit_id, metadata)


def _session(dice: random.Random, count: int, *, is_last: bool) -> SessionStory:
    forms: tuple[InputForm, ...] = ("list", "generator", "async generator", "one dict", "async one dict")
    story = SessionStory(weather=Weather(), form=dice.choice(forms))
    if is_last:
        return story
    story.weather = _weather(dice)
    story.consumer_s = dice.choice([0.0, 0.0, 0.0, 0.3])
    story.input_s = dice.choice([0.0, 0.0, 0.05, 1.0])
    if dice.random() < 0.15 and story.form != "list":
        story.raises_at = dice.randrange(count + 1)
        story.raises = dice.choice([Foreign, Foreign, ForeignBase, asyncio.CancelledError])
    if dice.random() < 0.12:
        story.limiter = dice.choice(["slow", "slow", "raises", "raises base", "cancelled", "hangs"])
    if dice.random() < 0.12:
        story.token = dice.choice(["function", "slow function", "fails", "fails later", "hangs"])
    if dice.random() < 0.2:
        story.progress = dice.choice(["fine", "fine", "raises", "raises base", "stops"])
    if dice.random() < 0.2:
        story.ending, story.leaves_after = dice.choice(ENDINGS), dice.randrange(1, count + 2)
    story.rests_s = dice.choice([float("inf"), 0.0, 0.0, 1.0, 30.0])
    story.closing_raises = story.form != "list" and dice.random() < 0.05
    story.disk_fails = dice.random() < 0.05
    if dice.random() < 0.08:
        story.hook = dice.choice(["stops", "raises base"])
    story.deeds = [
        (dice.choice(MOMENTS_S) * dice.random(), dice.randrange(12), dice.choice((*DEEDS, "kill", "kill")))
        for _ in range(dice.choice([0, 0, 0, 1, 1, 2]))
    ]
    return story


def _weather(dice: random.Random) -> Weather:
    mixtures: tuple[tuple[str, ...], ...] = (
        ("drop", "timeout", "504"),
        ("drop", "timeout", "504", "ok", "ok"),
        DOUBTFUL,
        NOT_EXECUTED,
        NOT_ARRIVED,
        NOT_ARRIVED + NOT_EXECUTED + DOUBTFUL,
    )
    mixture = dice.choice(mixtures)
    kinds = [*mixture] if dice.random() < 0.5 else dice.sample(mixture, dice.randrange(1, len(mixture) + 1))
    odd = dice.random()
    if odd < 0.1:
        kinds += ["400", "404"]
    elif odd < 0.2:
        kinds.append(dice.choice((*FOREIGN, *RAW_CANCELS, "401", "403")))
    return Weather(
        share=dice.choice([0.0, 0.1, 0.3, 0.6, 0.9]),
        kinds=tuple(kinds),
        latency_s=dice.choice([0.0, 0.02, 0.5]),
        ends_at_s=dice.choice([float("inf"), 30.0, 200.0]),
    )


class ModelInput:
    """The input of a session, which knows what it has given and whether it was closed."""

    def __init__(self, story: SessionStory, rows: list[Any]) -> None:
        self._story = story
        self._rows = rows
        self.given: int = 0
        self.is_open = False
        self.raised: BaseException | None = None
        self.raised_in_close: BaseException | None = None

    def made(self) -> Any:
        """Give what the run is given."""
        if self._story.form == "list":
            self.given = len(self._rows)  # nobody sees how far it was read
            return list(self._rows)
        return self._async_rows() if self._story.form.startswith("async") else self._sync_rows()

    def _items(self) -> Iterator[Any]:
        shared: dict[str, Any] = {}
        for index, row in enumerate(self._rows):
            if index == self._story.raises_at:
                self._raise()
            item = row
            if self._story.form.endswith("one dict") and isinstance(row, tuple):
                shared.clear()
                shared.update(row[1])
                item = (row[0], shared)
            yield item
        if self._story.raises_at == len(self._rows):
            self._raise()

    def _raise(self) -> None:
        kind = self._story.raises
        error: BaseException = kind("of the input")
        self.raised = error
        raise error

    def _sync_rows(self) -> Iterator[Any]:
        self.is_open = True
        try:
            for item in self._items():
                self.given += 1
                yield item
        finally:
            self._close()

    async def _async_rows(self) -> AsyncIterator[Any]:
        self.is_open = True
        try:
            for item in self._items():
                if self._story.input_s:
                    await asyncio.sleep(self._story.input_s)
                self.given += 1
                yield item
        finally:
            self._close()

    def _close(self) -> None:
        self.is_open = False
        if self._story.closing_raises:
            self.raised_in_close = Foreign("of the input, when it was closed")
            raise self.raised_in_close


class ModelLimiter:
    """A limiter of the caller's, with its own troubles."""

    def __init__(self, story: str, dice: random.Random, raised: list[BaseException]) -> None:
        self._story, self._dice, self._raised = story, dice, raised

    async def acquire(self) -> None:
        dice = self._dice
        if self._story != "slow" and dice.random() > 0.15:
            return
        if self._story == "slow":
            await asyncio.sleep(dice.choice([0.0, 0.1, 3.0]))
        elif self._story == "hangs":
            await asyncio.sleep(1000)
        elif self._story == "cancelled":
            task = asyncio.ensure_future(asyncio.sleep(0))
            task.cancel()
            await task
        else:
            error = (Foreign if self._story == "raises" else ForeignBase)("of the limiter")
            self._raised.append(error)
            raise error

    def pause(self, seconds: float) -> None:
        """Nothing: the model's limiter has no clock."""


def token_of(story: str, dice: random.Random) -> Any:
    """Give the token, or a function that gives it in its own way."""
    asked = 0

    async def function() -> str:
        nonlocal asked
        asked += 1
        if story == "slow function":
            await asyncio.sleep(dice.uniform(0.0, 3.0))
        elif story == "hangs":
            await asyncio.sleep(5000)
        elif story == "fails" or (story == "fails later" and asked > 1):
            raise Foreign("of the token function")
        return f"model-{asked}"

    return "model" if story == "fixed" else function


def progress_of(
    story: str, dice: random.Random, raised: list[BaseException], stop: Callable[[], object]
) -> Callable[[Progress], object] | None:
    """Give the hook, or None."""

    def told(progress: Progress) -> None:
        assert progress.done >= 0
        if story == "fine" or dice.random() > 0.3:
            return
        if story == "stops":
            stop()
        else:
            error = (Foreign if story == "raises" else ForeignBase)("of the progress hook")
            raised.append(error)
            raise error

    return None if story == "none" else told


def limit_of(story: SessionStory, rate: float | None, dice: random.Random, raised: list[BaseException]) -> Any:
    """Give the client's limit."""
    if story.limiter is not None:
        return ModelLimiter(story.limiter, dice, raised)
    return None if rate is None else RateLimit(rate)
