"""The fake's HTTP server on loopback; the only module of the fake that knows aiohttp."""

import asyncio
import ipaddress
import math
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from aiohttp import web

from spotdx_async.testing.answers import Answer, ErrorForm, error_answer
from spotdx_async.testing.clock import LoopThread
from spotdx_async.testing.fault_plan import FaultPlan
from spotdx_async.testing.faults import Fault
from spotdx_async.testing.rate_limit import Bucket
from spotdx_async.testing.records import ReceivedRequest, RequestLog
from spotdx_async.testing.routes import Call
from spotdx_async.testing.state import Some, SpotState, StateView

_BACKLOG = 4096
_SHUTDOWN_TIMEOUT_S = 0.5


class SpotServer(StateView):
    """A Spot API on loopback, with state, scripted faults, and a record of every request.

    ``async with`` serves in the running loop, so that what blocks the loop blocks the server. ``with`` serves in a
    thread with a loop of its own: for synchronous tests, ``asyncio.run``, and code with several loops or threads. It
    may be stopped and started again, on the same port and with the same state, to play an outage.

    Attributes:
        faults: the plan of faults, as in ``faults.add("503", times=2)``.
        state: everything that it remembers, and its rules.
        latency_s: seconds that every request waits before it is handled.
        date_ahead_s: how many seconds the ``Date`` of answers is ahead of ``wall``; None to send none, after which each
            connection is closed. Only whole seconds show.
        peak_in_flight: the most requests that were in flight at once.
    """

    def __init__(
        self,
        *,
        token: str = "test-token",  # noqa: S107 - the fake's token is no secret
        kits: Some = None,
        orders: Some = None,
        requisitions: Some = None,
        patients: Some = None,
        latency_s: float = 0.0,
        rate_limit: float | None = None,
        burst: int | None = None,
        faults: FaultPlan | None = None,
        error_form: ErrorForm = "openapi",
        keep_requests: bool = True,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Prepare a server; ``start`` starts it.

        Args:
            token: the one token that is accepted.
            kits: ids of the kits to start with, or how many to make up; None for the documented example and two others.
            orders: the same for orders; None for three examples.
            requisitions: the same for requisitions; None for three examples.
            patients: the same for patients; None for the one to whom the documented example is registered.
            latency_s: seconds that every request waits before it is handled.
            rate_limit: requests per second; those in excess get a 429 with Retry-After in whole seconds.
            burst: how many may come at once; by default one second's worth.
            faults: a plan made beforehand.
            error_form: which of the two documented error bodies is sent: ``"openapi"`` or ``"guide"``.
            keep_requests: whether to keep ``requests`` and the ledgers; a long run with ``counts`` alone does not grow.
            wall: returns the time of day, aware, by which the API stamps and dates what it sends, and tokens expire.
            host: a loopback address.
            port: a port; 0 for any that is free.

        Raises:
            ValueError: an argument is out of range, or the host is not loopback.
        """
        if not 0 <= latency_s < math.inf:
            raise ValueError("latency_s must be 0 or more")
        state = SpotState(
            kits=kits,
            orders=orders,
            requisitions=requisitions,
            patients=patients,
            tokens=[token],
            error_form=error_form,
            keep_ledger=keep_requests,
            wall=wall,
        )
        super().__init__(state, token)
        self.faults: FaultPlan = FaultPlan() if faults is None else faults
        self.latency_s = latency_s
        self.date_ahead_s: float | None = 0.0
        self.peak_in_flight: int = 0
        self._host = _loopback(host)
        self._port = port
        self._log = RequestLog(keep=keep_requests)
        self._bucket = None if rate_limit is None else Bucket(rate_limit, burst)
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._landings: set[asyncio.TimerHandle] = set()
        self._closing = AsyncExitStack()
        self._runner: web.ServerRunner | None = None
        self._closed: asyncio.Event | None = None
        self._thread: LoopThread | None = None

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash.

        Raises:
            RuntimeError: the server has never been started with port 0.
        """
        if not self._port:
            raise RuntimeError("the fake server has no address before it is started: use `async with`, or start()")
        return f"http://[{self._host}]:{self._port}" if ":" in self._host else f"http://{self._host}:{self._port}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """A record of every request that has arrived so far, in order; a copy."""
        return self._log.records

    @property
    def executed(self) -> list[ReceivedRequest]:
        """The requests that were executed: they read or changed the state."""
        return [request for request in self._log.records if request.executed]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many requests: ``"requests"``, ``"executed"``, ``"faults"``, ``"dropped"``, and by status ``"200"``."""
        return self._log.counts

    @property
    def operation_counts(self) -> Mapping[str, int]:
        """How many requests of each operation have come, by the client's call, such as ``"orders.list"``; else 0."""
        return self._log.operation_counts

    @property
    def in_flight(self) -> int:
        """How many requests are being handled."""
        return len(self._in_flight)

    @property
    def landing(self) -> int:
        """How many requests are still to be executed, by ``faults.land_later`` and others that land."""
        return len(self._landings)

    def locked(self) -> AbstractContextManager[object]:
        """Carry no request out inside the block, so that changes that belong together take effect together.

        It matters where the server has a thread of its own. Send nothing inside the block: it would not be answered.
        """
        return self.state.lock

    async def start(self) -> None:
        """Listen; return once connections are accepted.

        Raises:
            OSError: the port is in use.
            RuntimeError: it has been started already.
        """
        await self._in_own_loop(self._start)

    async def stop(self) -> None:
        """Stop listening and cut every connection, requests in flight included; keep the state. May be repeated."""
        await self._in_own_loop(self._stop)

    async def close(self) -> None:
        """Close the clients made by it, then stop. May be repeated."""
        await self._in_own_loop(self._close)

    async def wait_stopped(self) -> None:
        """Wait until it is stopped, for a server in the foreground."""
        await self._in_own_loop(self._wait_stopped)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Be stopped inside the block: for code that cannot ``await stop()``.

        Raises:
            RuntimeError: the server has no thread of its own, since it was not started by ``with``.
        """
        thread = self._thread
        if thread is None:
            raise RuntimeError(
                "outage() is for a fake in a thread of its own (with FakeSpot()): await stop() and start()"
            )
        thread.run(self._stop())
        try:
            yield
        finally:
            thread.run(self._start())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __enter__(self) -> Self:
        if self._runner is not None or self._thread is not None:
            raise RuntimeError("the fake server is started already")
        thread = LoopThread("spotdx-fake")
        try:
            thread.run(self._start())
        except BaseException:
            thread.close()
            raise
        self._thread = thread
        return self

    def __exit__(self, *_: object) -> None:
        thread = self._thread
        if thread is not None:
            try:
                thread.run(self._close())
            finally:
                self._thread = None
                thread.close()

    async def _in_own_loop(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine in the server's loop."""
        await (make() if self._thread is None else self._thread.wait_for(make()))

    async def _start(self) -> None:
        if self._runner is not None:
            raise RuntimeError("the fake server is started already")
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=_BACKLOG).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._port = runner.addresses[0][1]
        self._runner = runner
        self.report_files.base_url = self.url
        self._closed = asyncio.Event()
        self.state.elapsed_s = asyncio.get_running_loop().time

    async def _stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            for task in self._in_flight:
                task.cancel()
            await runner.cleanup()
        if self._closed is not None:
            self._closed.set()

    async def _close(self) -> None:
        for landing in self._landings:
            landing.cancel()
        self._landings.clear()
        try:
            await self._closing.aclose()
        finally:
            await self._stop()

    async def _wait_stopped(self) -> None:
        if self._closed is not None:
            await self._closed.wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        early = None
        if self.faults.has_early:
            early = self.faults.pick_early(self.state.read(request.method, request.raw_path))
        try:
            body = await request.content.read() if early is None else b""
        except ConnectionError:
            return web.Response()  # goes nowhere: the client left in the middle of its request
        loop = asyncio.get_running_loop()
        # After the body: a request whose client left in the middle of it has not arrived, and counts nowhere.
        index = self._log.next_index
        call = self.state.read(request.method, request.raw_path, body, index=index)
        self._log.arrived(call, at_s=loop.time(), headers=request.headers, connection=_port_of(request))
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a handler runs in a task
        self._in_flight.add(task)
        self.peak_in_flight = max(self.peak_in_flight, len(self._in_flight))
        answer = None
        try:
            answer = await self._answer(call, request.headers.get("Authorization"), early)
        finally:
            self._in_flight.discard(task)
            self._log.ended(index, None if answer is None else answer.status, at_s=loop.time())
        return _send(request, None if answer is None else self._dated(answer))

    def _dated(self, answer: Answer) -> Answer:
        ahead_s = self.date_ahead_s
        return answer.dated(self.state.wall() + timedelta(seconds=ahead_s or 0.0), with_date=ahead_s is not None)

    async def _answer(self, call: Call, authorization: str | None, early: Fault | None) -> Answer | None:
        """Return the answer to send, or None to drop the connection."""
        if early is not None:
            self._log.fault_played(call.index, early.name)
            return await self._play(early, call, authorization)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        # Before the faults, so that a refused request never uses up one that a test has planned.
        if self._bucket is not None and (wait_s := self._bucket.take(asyncio.get_running_loop().time())):
            detail = "Request was throttled"
            return error_answer(429, detail, self.state.error_form, {"Retry-After": str(wait_s)})
        with self.state.lock:
            # With the execution under one lock: a test that changes plan and state together sees no request in between.
            fault = self.faults.pick(call)
            if fault is None:
                return self._execute(call, authorization)
        self._log.fault_played(call.index, fault.name)
        return await self._play(fault, call, authorization)

    async def _play(self, fault: Fault, call: Call, authorization: str | None) -> Answer | None:
        if fault.wait_before_s:
            await asyncio.sleep(fault.wait_before_s)
        answer = self._execute(call, authorization) if fault.executes else None
        if (after_s := fault.lands_after_s) is not None:
            self._land(call, authorization, after_s() if callable(after_s) else after_s)
        if fault.repeats_after_s is not None:
            await asyncio.sleep(fault.repeats_after_s)
            answer = self._execute(call, authorization)
        if fault.wait_after_s:
            await asyncio.sleep(fault.wait_after_s)
        return fault.reshape(answer)

    def _land(self, call: Call, authorization: str | None, after_s: float) -> None:
        if not after_s:
            self._execute(call, authorization)
            return

        def land() -> None:
            self._landings.discard(handle)
            self._execute(call, authorization)

        handle = asyncio.get_running_loop().call_later(after_s, land)
        self._landings.add(handle)

    def _execute(self, call: Call, authorization: str | None) -> Answer:
        with self.state.lock:
            answer = self.state.execute(call, authorization)
            if answer.is_success:
                self._log.executed(call.index)
            return answer

    def __repr__(self) -> str:
        where = "stopped" if self._runner is None else self.url
        return f"<{type(self).__name__} {where}: {len(self.kits)} kits, {self.counts['requests']} requests>"


def _loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"  # one address, so that port 0 means one port
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError("host must be a loopback address, such as 127.0.0.1: the fake has no business on a network")
    return host


def _port_of(request: web.BaseRequest) -> int:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return int(peer[1]) if peer else 0


def _send(request: web.BaseRequest, answer: Answer | None) -> web.StreamResponse:
    transport = request.transport
    if answer is None and transport is not None:
        transport.abort()
    # By hand, since aiohttp would not promise more than it sends, and adds a Date of its own.
    is_by_hand = answer is not None and (answer.is_cut or "Date" not in answer.headers)
    if answer is not None and is_by_hand and transport is not None:
        transport.write(answer.cut_short() if answer.is_cut else answer.as_last())
        transport.close()
    if answer is None or is_by_hand:
        return web.Response()  # goes nowhere: the connection is closing
    response = web.Response(status=answer.status, body=answer.body or None, headers=answer.headers)
    if answer.content_type is not None:
        response.headers["Content-Type"] = answer.content_type
    return response
