"""Plays one fault on one class of operation, and tells everything that came of it. Asserts nothing."""

import asyncio
import contextlib
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final
from unittest import mock

import attrs

from spotdx_async import RateLimit, RetryPolicy, SpotClient, SpotError, StatusError
from spotdx_async._http import clock
from spotdx_async.bulk.records import Outcome
from spotdx_async.config import Stats

from .page import Fault
from .scripted_server import ScriptedServer, Wall
from .scripts import script_of
from .surroundings import INPUTS, Asked, Surroundings, TokenFunction, certificate_of, surroundings_of

TIMEOUT_S: Final = 5.0
POLICY: Final = RetryPolicy()
"""The default: 4 requests at most for a call."""
OUTAGE_LIMIT_S: Final = 600.0
LANDING_S: Final = 60.0
"""How long the server may still execute what it has received, before the counts are read."""
_SPOILED = frozenset({"client closed", "session closed", "no session"})
"""Where only a new client can work again."""
_HIDDEN = frozenset({"details", "raw", "clue", "faults"})
"""Attributes that may hold what the server or the caller wrote: no text shows them."""
_MANY = 100_000


@attrs.define
class Played:
    """What came of a fault."""

    gets: str = ""
    """In the words of the file."""
    value: Any = attrs.field(default=None, repr=False)
    """What the call gave: a Kit, an Order, or the list's items."""
    error: BaseException | None = None
    """What the call raised."""
    outcomes: list[Outcome[Any]] = attrs.field(factory=list)
    """Of a bulk run."""
    executed: int = 0
    executed_paths: list[str] = attrs.field(factory=list)
    """Of each executed request."""
    sent: int = 0
    tries: int = 0
    """Requests begun by the client."""
    took_s: float = 0.0
    ended_after_cancel_s: float | None = None
    """Virtual seconds from the cancellation to the end of the call."""
    stats: Stats | None = None
    """When the call had ended."""
    works_again: bool = False
    """Whether the client served a call when the server was healthy again."""
    left_over: list[str] = attrs.field(factory=list)
    """Tasks that outlived the client."""
    loop_troubles: list[str] = attrs.field(factory=list)
    """What the event loop complained of."""
    logs: list[str] = attrs.field(factory=list)
    """All lines of all loggers, at every level."""
    texts: dict[str, str] = attrs.field(factory=dict)
    """Every text that the SDK made, by what it is."""

    @property
    def errors(self) -> list[SpotError]:
        """All errors of the SDK: the one raised, and those of outcomes."""
        found = [outcome.error for outcome in self.outcomes if outcome.error is not None]
        return [*found, self.error] if isinstance(self.error, SpotError) else found


async def play(fault: Fault, class_: str, asked: Asked | None = None) -> Played:
    """Play the fault in the running loop, which must be one of virtual time.

    Args:
        fault: one of the file's.
        class_: ``update``, ``create``, ``bulk`` or ``list``.
        asked: the token and the arguments of the call; None: harmless ones.
    """
    asked = Asked() if asked is None else asked
    played, wall, before = Played(), Wall(fault.clock_s), asyncio.all_tasks()
    script = script_of(fault.play, fault.having)
    tls = certificate_of(fault.tls) if fault.tls else None
    server = ScriptedServer(script, is_once=fault.is_once, token=asked.token, wall=wall, tls=tls)
    with _listening_to_logs(played), _listening_to_loop(played), mock.patch.object(clock, "wall", wall.now):
        async with server:
            _open(server, fault.play)
            set_up = fault.set_up or ("trusting" if fault.tls else "")
            async with surroundings_of(set_up, server, is_once=fault.is_once) as around:
                await _play_on(_Stage(fault, class_, asked, server, around, played))
            played.left_over = [_name(task) for task in asyncio.all_tasks() - before - server.tasks]
    played.texts |= {f"log {n}": line for n, line in enumerate(played.logs)}
    return played


@attrs.frozen
class _Stage:
    fault: Fault
    class_: str
    asked: Asked
    server: ScriptedServer
    around: Surroundings
    played: Played

    def client(self, token: Any, **options: Any) -> SpotClient:
        scheme = "https" if self.fault.tls else "http"
        url = f"{scheme}://{self.around.host}:{self.server.port}"
        return SpotClient(token, base_url=url, session=self.around.session, timeout_s=TIMEOUT_S, **options)


async def _play_on(stage: _Stage) -> None:
    fault, played, server = stage.fault, stage.played, stage.server
    good = stage.asked.token
    function = TokenFunction(fault.token, good) if fault.token not in {"", "wrong"} else None
    spot = stage.client(function or (f"{good}-wrong" if fault.token else good), **_options(fault.client))
    async with spot:
        if fault.set_up == "client closed":
            await spot.close()
        async with _beside(fault.cancel or fault.set_up, spot, server):
            asides = spot.stats.attempts
            await _call(stage, spot)
            played.tries = spot.stats.attempts - asides
        played.stats = spot.stats
        await asyncio.sleep(LANDING_S)
        played.executed, played.sent = server.executed, server.sent
        played.executed_paths = list(server.executed_paths)
        played.texts |= _texts(played, spot)
        await _heal(stage, function)
        if fault.set_up not in _SPOILED:
            played.works_again = await _works(spot.with_options(deadline_s=None, max_wait_s=None))
    if fault.set_up in _SPOILED:
        played.works_again = await _works_anew(stage)
    for _ in range(20):
        await asyncio.sleep(0)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    options = {"retry": POLICY, **given}
    if "max_attempts" in options:
        options["retry"] = RetryPolicy(max_attempts=options.pop("max_attempts"))
    if "every_s" in options:
        options["rate_limit"] = RateLimit(1, per_s=options.pop("every_s"), burst=1)
    return options


# The call


async def _call(stage: _Stage, spot: SpotClient) -> None:
    fault, played, loop = stage.fault, stage.played, asyncio.get_running_loop()
    asked = INPUTS[fault.input](stage.asked)
    began = loop.time()
    task = asyncio.create_task(_CALLS[stage.class_](spot, asked, stage))
    if fault.ends_after_s:
        loop.call_later(fault.ends_after_s, stage.server.heal, None)
    if fault.is_once and fault.play == "refuse":
        await _until(lambda: spot.stats.attempts >= 1 and not spot.stats.in_flight)
        stage.server.heal(None)
    if fault.cancel:
        played.ended_after_cancel_s = await _cancel(task, fault.cancel, spot, stage.server)
    await asyncio.wait([task])
    played.took_s = loop.time() - began
    if task.cancelled():
        played.error = asyncio.CancelledError()
    else:
        played.error = task.exception()
        played.value = None if played.error else task.result()
    played.gets = _gets(stage.class_, played)


async def _bulk(spot: SpotClient, asked: Asked, stage: _Stage) -> None:
    count = stage.fault.rows
    rows = [(asked.kit_id if count == 1 else f"{asked.kit_id}{n}", asked.metadata) for n in range(count)]
    options = {"concurrency": 8, "outage_limit": OUTAGE_LIMIT_S, **stage.fault.run}
    async for outcome in spot.kits.update_metadata_many(rows, **options):
        stage.played.outcomes.append(outcome)


async def _list(spot: SpotClient, asked: Asked, _stage: _Stage) -> list[Any]:
    return [kit async for kit in spot.kits.list(**asked.filters)]


_CALLS: Final[Mapping[str, Callable[[SpotClient, Asked, _Stage], Any]]] = {
    "update": lambda spot, asked, _: spot.kits.update_metadata(asked.kit_id, asked.metadata),
    "create": lambda spot, asked, _: spot.orders.create(asked.order),
    "bulk": _bulk,
    "list": _list,
}


def _open(server: ScriptedServer, play_: str) -> None:
    if play_ == "fill the queue":
        server.fill_queue()
    elif play_ != "refuse":
        server.listen()


# What it gets, in words


def _gets(class_: str, played: Played) -> str:
    ending = "" if played.error is None else _name_of(played.error)
    if class_ == "bulk":
        states = [_state(outcome) for outcome in played.outcomes]
        words = [f"{states.count(state)} {state}" if len(states) > 1 else state for state in dict.fromkeys(states)]
        return ", then ".join([*words, *([ending] if ending else [])])
    if ending:
        return ending
    return f"{len(played.value)} kits" if class_ == "list" else type(played.value).__name__


def _state(outcome: Outcome[Any]) -> str:
    return outcome.state if outcome.error is None else f"{outcome.state}: {_name_of(outcome.error)}"


def _name_of(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    facts = [getattr(error, name, None) for name in ("reason", "outcome", "status")]
    words = [type(error).__name__, *(str(fact) for fact in facts if fact is not None)]
    if isinstance(error, StatusError) and error.may_be_executed:
        words.append("(maybe executed)")
    return " ".join(words)


# Cancellation


@contextlib.asynccontextmanager
async def _beside(cancel: str, spot: SpotClient, server: ScriptedServer) -> Any:
    """Have another call hold the only place, or take the only slot."""
    holding: Awaitable[Any] | None = None
    if cancel == "gate":
        server.answers_asides.clear()
        holding = asyncio.create_task(spot.kits.types())
        await _until(lambda: server.asides == 1)
    elif cancel in {"limiter", "slot taken"}:
        await spot.kits.types()
    yield
    server.answers_asides.set()
    if holding is not None:
        await holding


async def _cancel(task: "asyncio.Task[Any]", where: str, spot: SpotClient, server: ScriptedServer) -> float:
    """Cancel the call when it has come so far; give how long it took to end."""
    now = asyncio.get_running_loop().time
    if where == "answer":
        is_asked = asyncio.Event()

        def ask() -> None:
            task.cancel()
            is_asked.set()

        server.on_answer = ask
        await is_asked.wait()
    else:
        await _until(lambda: _MOMENTS[where](spot.stats, server) or task.done())
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
    cancelled_at = now()
    await asyncio.wait([task])
    return now() - cancelled_at


_MOMENTS: Final[Mapping[str, Callable[[Stats, ScriptedServer], bool]]] = {
    "gate": lambda stats, _: stats.waiting >= 1,
    "limiter": lambda stats, _: stats.waiting >= 1,
    "token": lambda stats, _: stats.waiting >= 1,
    "connect": lambda stats, _: stats.in_flight >= 1,
    "sending": lambda _, server: server.is_half_way.is_set(),
    "wait": lambda _, server: server.sent >= 1,
    "body": lambda _, server: server.is_half_way.is_set(),
    "backoff": lambda stats, server: server.sent >= 1 and not stats.in_flight,
}


async def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(_MANY):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("what was waited for did not come")


# Afterwards


async def _heal(stage: _Stage, function: TokenFunction | None) -> None:
    stage.server.heal(certificate_of("good") if stage.fault.tls else None)
    stage.around.heal()
    if function is not None:
        function.heal()


async def _works(spot: SpotClient) -> bool:
    return await spot.kits.types() == ["health_kit_1"]


async def _works_anew(stage: _Stage) -> bool:
    """Ask by a new client with a session that trusts the server."""
    kind = "trusting" if stage.fault.tls else ""
    async with (
        surroundings_of(kind, stage.server, is_once=False) as around,
        attrs.evolve(stage, around=around).client(stage.asked.token) as spot,
    ):
        return await _works(spot)


def _texts(played: Played, spot: SpotClient) -> dict[str, str]:
    texts = {"repr of the client": repr(spot), "repr of the stats": repr(played.stats)}
    texts |= {f"repr of outcome {outcome.index}": repr(outcome) for outcome in played.outcomes}
    if played.value is not None:
        texts |= {"repr of the value": repr(played.value), "str of the value": str(played.value)}
    for number, error in enumerate(played.errors):
        shown = {name: value for name, value in vars(error).items() if name not in _HIDDEN}
        texts |= {
            f"str of error {number}": str(error),
            f"repr of error {number}": repr(error),
            f"args of error {number}": repr(error.args),
            f"attributes of error {number}": repr(shown),
            f"clue of error {number}": repr(getattr(error, "clue", None)),
            f"traceback of error {number}": "".join(traceback.format_exception(error)),
            f"copy of error {number}": repr(pickle.loads(pickle.dumps(error))),
        }
    return texts


def _name(task: "asyncio.Task[Any]") -> str:
    return f"{task.get_name()}: {task.get_coro()}"


@contextlib.contextmanager
def _listening_to_logs(played: Played) -> Iterator[None]:
    handler = _Lines(played.logs)
    root, ours = logging.getLogger(), logging.getLogger("spotdx_async")
    levels = root.level, ours.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    ours.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(levels[0])
        ours.setLevel(levels[1])


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextlib.contextmanager
def _listening_to_loop(played: Played) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: played.loop_troubles.append(str(context)))
    try:
        yield
    finally:
        loop.set_exception_handler(None)
