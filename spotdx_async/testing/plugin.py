"""The pytest plugin that is installed with the package: fixtures, faults by marker, virtual time, expected requests.

pytest imports it in every run of every user, so it imports neither the SDK nor aiohttp before a test asks for them.
"""

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from spotdx_async import SpotClient
    from spotdx_async.testing.clock import VirtualClock
    from spotdx_async.testing.expectations import ExpectedRequests, MarkedFault
    from spotdx_async.testing.fake_spot import FakeSpot

_FAULT = (
    "spot_fault(fault, *, times=1, operation=None, kit_id=None, order_id=None, requisition_id=None, method=None, "
    "path=None, unmet_ok=False): play a fault on the test's requests to fake_spot; it has to be met unless unmet_ok"
)
_VIRTUAL_TIME = "spot_virtual_time: run the async test on a loop that jumps from timer to timer; spot_clock does so too"
_NEEDS_LOOPS = (
    "virtual time (spot_virtual_time, spot_clock) needs a test that pytest-asyncio 1.4 or later runs: install it, and "
    'set asyncio_mode = "auto" or mark the test with @pytest.mark.asyncio'
)

# --- Fixtures ---------------------------------------------------------------------------------------------------------


def _found_pytest_asyncio() -> tuple[Callable[..., Any], Callable[[pytest.Item], bool]] | None:
    """Return its fixture decorator and its test for its own items; None where either is missing.

    A folder left behind when it was uninstalled can still be imported, and is empty.
    """
    try:
        import pytest_asyncio  # noqa: PLC0415 - it may be missing
    except ImportError:
        return None
    fixture = getattr(pytest_asyncio, "fixture", None)
    is_async_test = getattr(pytest_asyncio, "is_async_test", None)
    return (fixture, is_async_test) if callable(fixture) and callable(is_async_test) else None


_FOUND = _found_pytest_asyncio()

if _FOUND is not None:

    @_FOUND[0]
    async def _fake_spot_in_loop() -> "AsyncIterator[FakeSpot]":
        from spotdx_async.testing.fake_spot import FakeSpot  # noqa: PLC0415 - see the module's docstring

        clock = _virtual_clock()
        # Its time of day is virtual too: a registration token expires after ten virtual minutes.
        async with FakeSpot() if clock is None else FakeSpot(wall=clock.wall) as fake:
            yield fake

    @_FOUND[0]
    async def _spot_client_in_loop(fake_spot: "FakeSpot") -> "AsyncIterator[SpotClient]":
        async with fake_spot.client() as client:
            yield client

    @_FOUND[0]
    async def _spot_clock_in_loop() -> "VirtualClock | None":
        return _virtual_clock()


@pytest.fixture
def fake_spot(request: pytest.FixtureRequest) -> "Iterator[FakeSpot]":
    """A running fake Spot API on loopback, with the documented example kit and two others."""
    if _lives_in_the_tests_loop(request):
        yield request.getfixturevalue("_fake_spot_in_loop")
        return
    from spotdx_async.testing.fake_spot import FakeSpot  # noqa: PLC0415 - see the module's docstring

    with FakeSpot() as fake:
        yield fake


@pytest.fixture
def spot_client(request: pytest.FixtureRequest, fake_spot: "FakeSpot") -> "SpotClient":
    """A client of ``fake_spot``, closed after the test."""
    if _is_run_by_pytest_asyncio(request):
        client: SpotClient = request.getfixturevalue("_spot_client_in_loop")
        return client
    return fake_spot.client()


@pytest.fixture
def spot_clock(request: pytest.FixtureRequest) -> "VirtualClock":
    """The clock of virtual time; a test that asks for it runs in virtual time."""
    if not _is_run_by_pytest_asyncio(request):
        pytest.fail(_NEEDS_LOOPS, pytrace=False)
    clock: VirtualClock | None = request.getfixturevalue("_spot_clock_in_loop")
    if clock is None:
        pytest.fail(f"{_NEEDS_LOOPS}; and the test must name spot_clock among its arguments", pytrace=False)
    return clock


@pytest.fixture
def spot_expect(fake_spot: "FakeSpot") -> "ExpectedRequests":  # noqa: ARG001 - the requests arrive there
    """Call it with each operation that the test sends; the test fails if ``fake_spot`` got other requests."""
    from spotdx_async.testing.expectations import ExpectedRequests  # noqa: PLC0415 - see the module's docstring

    return ExpectedRequests()


def _lives_in_the_tests_loop(request: pytest.FixtureRequest) -> bool:
    """Return whether the fake shares the loop of the test instead of having a thread of its own.

    It shares the loop in virtual time, which knows one loop, and in a test that surely has the same loop as its
    fixtures: one of pytest-asyncio with a loop for each function. A synchronous test, one that anyio runs and one on a
    loop of wider scope would wait for a fake whose loop does not run.
    """
    item = request.node
    if not _is_run_by_pytest_asyncio(request):
        return False
    if "spot_clock" in item.fixturenames or item.get_closest_marker("spot_virtual_time") is not None:
        return True
    marker = item.get_closest_marker("asyncio")
    options: Mapping[str, Any] = {} if marker is None else marker.kwargs
    scope = options.get("loop_scope") or options.get("scope") or _ini(item, "asyncio_default_test_loop_scope")
    return {scope or "function", _ini(item, "asyncio_default_fixture_loop_scope") or "function"} == {"function"}


def _is_run_by_pytest_asyncio(request: pytest.FixtureRequest) -> bool:
    item = request.node
    return _FOUND is not None and isinstance(item, pytest.Item) and _FOUND[1](item)


def _ini(item: pytest.Item, name: str) -> Any:
    try:
        return item.config.getini(name)
    except ValueError:  # an option that this pytest-asyncio does not have
        return None


def _virtual_clock() -> "VirtualClock | None":
    import asyncio  # noqa: PLC0415 - see the module's docstring

    from spotdx_async.testing.clock import VirtualClock, VirtualTimeLoop  # noqa: PLC0415 - the same

    loop = asyncio.get_running_loop()
    return VirtualClock(loop) if isinstance(loop, VirtualTimeLoop) else None


# --- Faults by marker, and expected requests --------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Fail the collection for a wrong marker, as pytest does for an unknown one under ``--strict-markers``."""
    made = yield
    for item in made if isinstance(made, list) else [made]:
        if isinstance(item, pytest.Function):
            _marked_faults(item)
            if "fake_spot" not in item.fixturenames and any(mark.name == "spot_fault" for mark in item.own_markers):
                _refuse(item, "it needs the fixture fake_spot among the test's arguments, or spot_client")
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Play the marked faults and compare the requests while the test itself runs, not while its fixtures do."""
    values: Mapping[str, Any] = getattr(item, "funcargs", {})
    fake, expected = values.get("fake_spot"), values.get("spot_expect")
    marked = [] if fake is None else _marked_faults(item)
    if fake is None or (not marked and expected is None):
        return (yield)
    in_play = [fault.plan(fake.faults) for fault in marked]
    first = fake.counts["requests"]
    try:
        result = yield
    finally:
        unmet = [message for fault in in_play if (message := fault.end())]
    _fail_if_any("not every fault of spot_fault was met (unmet_ok=True allows that)", unmet)
    if expected is not None:
        if fake.counts["requests"] != len(fake.requests):
            pytest.fail("spot_expect needs a fake that keeps its requests: keep_requests=True", pytrace=False)
        _fail_if_any("fake_spot got other requests than the test expected", expected.differences(fake.requests[first:]))
    return result


def _marked_faults(item: pytest.Item) -> "list[MarkedFault]":
    marks = [*_marks_in_order(item)]
    if not marks:
        return []
    from spotdx_async.testing.expectations import MarkedFault  # noqa: PLC0415 - see the module's docstring

    try:
        return [MarkedFault(mark.args, mark.kwargs) for mark in marks]
    except ValueError as error:
        _refuse(item, str(error))


def _marks_in_order(item: pytest.Item) -> Iterator[pytest.Mark]:
    """Yield the markers in the order of reading: the module's, the class's, the test's, from top to bottom."""
    listed = {id(mark) for mark in getattr(getattr(item, "callspec", None), "marks", ())}
    for node in item.listchain():
        marks = [mark for mark in node.own_markers if mark.name == "spot_fault"]
        if isinstance(node, pytest.Module):
            yield from marks
        else:
            # pytest has decorators from the bottom up, and the markers of a parameter as they are listed.
            yield from (mark for mark in reversed(marks) if id(mark) not in listed)
            yield from (mark for mark in marks if id(mark) in listed)


def _refuse(item: pytest.Item, why: str) -> NoReturn:
    pytest.fail(f"{item.nodeid}: @pytest.mark.spot_fault: {why}", pytrace=False)


def _fail_if_any(what: str, lines: list[str]) -> None:
    if lines:
        pytest.fail("\n  ".join([f"{what}:", *lines]), pytrace=False)


# --- Virtual time -----------------------------------------------------------------------------------------------------


class _VirtualLoops:
    """Provides pytest-asyncio with the loops of tests in virtual time.

    Registered only while such a test is generated, and while tests are set up: as long as this hook is registered,
    pytest-asyncio takes the loops of all tests from it.
    """

    def __init__(self) -> None:
        self.were_asked_for = False

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_asyncio_loop_factories(self) -> Mapping[str, Callable[[], Any]]:
        from spotdx_async.testing.clock import VirtualTimeLoop  # noqa: PLC0415 - see the module's docstring

        self.were_asked_for = True
        return {"spot_virtual_time": VirtualTimeLoop}


_LOOPS = pytest.StashKey[_VirtualLoops]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for marker in (_FAULT, _VIRTUAL_TIME):
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, Any, Any]:
    """Run the test on a loop with virtual time, where its marker or its clock asks for that."""
    if (
        "spot_clock" not in metafunc.fixturenames
        and metafunc.definition.get_closest_marker("spot_virtual_time") is None
    ):
        return (yield)
    loops = metafunc.config.stash.setdefault(_LOOPS, _VirtualLoops())
    loops.were_asked_for = False
    with _registered(loops, metafunc.config):
        result = yield
    if not loops.were_asked_for and inspect.iscoroutinefunction(metafunc.function):
        pytest.fail(f"{metafunc.definition.nodeid}: {_NEEDS_LOOPS}", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let pytest-asyncio close fixtures on a wider loop of the other kind before a test gets them, not after."""
    loops = item.config.stash.get(_LOOPS, None)
    if loops is None:
        return (yield)
    with _registered(loops, item.config):
        return (yield)


@contextlib.contextmanager
def _registered(plugin: object, config: pytest.Config) -> Iterator[None]:
    config.pluginmanager.register(plugin)
    try:
        yield
    finally:
        config.pluginmanager.unregister(plugin)
