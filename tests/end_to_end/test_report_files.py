"""Report files over loopback: whole or absent, from allowed hosts alone, the token to the API's own server alone."""

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spotdx_async import (
    ConfigError,
    DecodeError,
    InvalidInputError,
    LinkExpiredError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    Report,
    RetryPolicy,
    ServerError,
    SpotClient,
    SpotError,
    private_files,
)
from spotdx_async._http import file_body
from spotdx_async.observers import Observer
from spotdx_async.testing import FakeSpot, Fault, faults

pytestmark = pytest.mark.virtual_time

KIT = "SPOT123456"
FILE = "/results/{file}"
OLD = b"%PDF-an older one"


@pytest.fixture
async def storage() -> AsyncIterator[FakeSpot]:
    """Another server, which asks for no token."""
    async with FakeSpot(token="of-the-storage") as server:
        server.report_files.needs_token = False
        yield server


@pytest.fixture
def spot(fake: FakeSpot) -> SpotClient:
    return fake.client(retry=RetryPolicy(max_attempts=3, base_s=0.01))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder / "a.pdf"


async def report_of(spot: SpotClient) -> Report:
    kit = await spot.kits.get(KIT)
    assert kit.sample is not None
    (report,) = kit.sample.reports
    assert report is not None
    return report


def named(server: FakeSpot) -> list[str]:
    return [server.url.removeprefix("http://")]


def hold_only(place: Path, data: bytes | None) -> bool:
    """Whether the folder holds that file and nothing else; None: not even that."""
    found = {path.name: path.read_bytes() for path in place.parent.iterdir()}
    return found == ({} if data is None else {place.name: data})


def tokens_at(server: FakeSpot) -> list[str | None]:
    return [one.headers.get("authorization") for one in server.requests if one.template == FILE]


# What is saved


@pytest.mark.parametrize(("kind", "begin"), [("pdf", b"%PDF-"), ("txt", b"Report ")])
async def test_a_reports_file_is_saved_for_its_owner_alone(
    spot: SpotClient, place: Path, kind: Any, begin: bytes
) -> None:
    saved = await spot.reports.save(await report_of(spot), str(place), kind=kind)

    data = place.read_bytes()
    assert data.startswith(begin)
    assert (saved.path, saved.size, saved.sha256) == (place, len(data), hashlib.sha256(data).hexdigest())
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert hold_only(place, data)
    assert place.name not in repr(saved)


async def test_the_file_of_a_requisitions_report_is_saved_too(fake: FakeSpot, spot: SpotClient, place: Path) -> None:
    requisition_id = next(iter(fake.requisitions))
    (report,) = (await spot.requisitions.get(requisition_id)).reports
    assert report is not None

    assert (await spot.reports.save(report, place)).size == place.stat().st_size


async def test_a_link_alone_is_enough(fake: FakeSpot, spot: SpotClient, place: Path) -> None:
    fake.report_files["large.pdf"] = large = b"%PDF-" + os.urandom(3_000_000)

    saved = await spot.reports.save(fake.report_files.url("large.pdf"), place)

    assert saved.size == len(large)
    assert hold_only(place, large)


async def test_an_older_file_is_replaced(spot: SpotClient, place: Path) -> None:
    place.write_bytes(OLD)
    place.chmod(0o644)

    await spot.reports.save(await report_of(spot), place)

    assert place.read_bytes() != OLD
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


async def test_a_call_is_of_the_folder_that_was_the_current_one(
    spot: SpotClient, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await report_of(spot)
    monkeypatch.chdir(place.parent)
    call = spot.reports.save(report, place.name)
    monkeypatch.chdir(tmp_path)

    assert (await call).path == Path(place.name)
    assert place.exists()


# What is refused before anything is sent


def link_to(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


def hard_link_to(path: Path) -> None:
    (path.parent.parent / "first name").write_bytes(b"x")
    path.hardlink_to(path.parent.parent / "first name")


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (Path.mkdir, "is a folder"),
        (link_to, "is a symbolic link, which is not followed"),
        (os.mkfifo, "is not a regular file"),
        (hard_link_to, "has a second name"),
        (lambda path: path.parent.rmdir(), "there is no such folder"),
        (lambda path: path.parent.chmod(0o500), "cannot be written: permission denied"),
    ],
)
async def test_a_place_that_takes_no_file_is_refused(
    fake: FakeSpot, spot: SpotClient, place: Path, make: Callable[[Path], None], fault: str
) -> None:
    report = await report_of(spot)
    make(place)
    if fault.endswith("denied") and os.access(place.parent, os.W_OK):
        pytest.skip("root may write everywhere")

    with pytest.raises(InvalidInputError, match=fault):
        await spot.reports.save(report, place)

    assert fake.operation_counts["reports.save"] == 0


@pytest.mark.parametrize(
    ("arguments", "options", "fault"),
    [
        ((Report(txt="x"), "a"), {}, "the report has no pdf, but a txt: pass kind='txt' for that"),
        ((Report(pdf="x"), "a"), {"kind": "txt"}, "the report has no txt, but a pdf: pass kind='pdf' for that"),
        ((Report(), "a"), {}, "the report has no pdf; nothing was sent"),
        ((7, "a"), {}, "report_or_url must be a Report or a string, not int"),
        (("https://app.spotkits.com/x", 7), {}, "path must be a string or a path, not int"),
        (("https://app.spotkits.com/x", "a\0"), {}, "path holds a null character"),
        (("https://app.spotkits.com/x", "a"), {"kind": "doc"}, "kind must be 'pdf' or 'txt'"),
        (("https://app.spotkits.com/x", "a"), {"hosts": "a.example"}, "hosts must be a list"),
        (("https://evil.example/canary", "a"), {}, "the link leads to a host that is not allowed"),
        (("http://app.spotkits.com/canary", "a"), {}, "the link does not use https"),
        (("https://canary@app.spotkits.com/", "a"), {}, "the link holds a user name"),
        (("canary", "a"), {}, "the link is not an https URL"),
    ],
)
async def test_an_argument_that_is_wrong_is_refused(
    fake: FakeSpot, spot: SpotClient, arguments: Any, options: Any, fault: str
) -> None:
    with pytest.raises(InvalidInputError, match=fault) as caught:
        await spot.reports.save(*arguments, **options)

    assert "canary" not in str(caught.value)
    assert not fake.requests


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "kind", "attempts", "text"),
    [
        ("expired_link", LinkExpiredError, 1, "the link has expired; get the kit again"),
        ("404", LinkExpiredError, 1, "answered 404"),
        ("410", LinkExpiredError, 1, "answered 410"),
        ("401", LinkExpiredError, 1, "the link has expired, or it does not accept the token"),
        ("unreadable", DecodeError, 3, "is a web page, such as one for signing in, and not the file"),
        (faults.body(b"", content_type=None), DecodeError, 3, "is empty"),
        (faults.body(b"not found"), DecodeError, 3, "is not a PDF"),
        ("half_body", OutcomeUnknownError, 3, "broke before a whole answer came"),
        ("drop_before", OutcomeUnknownError, 3, "broke before a whole answer came"),
        (faults.slow(100), OutcomeUnknownError, 3, "no whole answer came within timeout_s"),
        ("503", ServerError, 3, "answered 503"),
        ("429", RateLimitError, 3, "answered 429"),
        (faults.oversized(10_001), DecodeError, 1, "is larger than 50 MiB"),
        (faults.status(400), SpotError, 1, "answered 400"),
        (faults.redirect(location="https://evil.example/canary"), OutcomeUnknownError, 1, "a host that is not allowed"),
        (faults.redirect(location="/results/canary"), OutcomeUnknownError, 3, "more than 3 redirects"),
        (faults.redirect(location=""), OutcomeUnknownError, 3, "more than 3 redirects"),
    ],
)
async def test_a_fault_leaves_what_was_there_and_nothing_else(
    fake: FakeSpot,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    fault: Fault | str,
    kind: Any,
    attempts: int,
    text: str,
) -> None:
    monkeypatch.setattr(file_body, "MOST_BYTES", 10_000)
    spot = fake.client(timeout_s=10, retry=RetryPolicy(max_attempts=3, base_s=0.01))
    report = await report_of(spot)
    place.write_bytes(OLD)
    fake.faults.add(fault, times=None, path=FILE)

    with pytest.raises(kind, match=text) as caught:
        await spot.reports.save(report, place)

    error = caught.value
    assert hold_only(place, OLD)
    assert error.operation == "GET report file"
    assert fake.operation_counts["reports.save"] == error.attempts
    assert error.attempts == attempts if "redirects" not in text else error.attempts == 4
    assert "canary" not in str(error)
    assert (error.__cause__, error.__context__) == (None, None)


async def test_what_a_server_writes_about_a_link_is_in_no_attribute(
    fake: FakeSpot, spot: SpotClient, place: Path
) -> None:
    report = await report_of(spot)
    for status in (403, 400, 500):
        fake.faults.add(faults.body(b'{"error": {"detail": "canary"}}', status=status), times=None, path=FILE)

        with pytest.raises(SpotError) as caught:
            await spot.reports.save(report, place)

        fake.faults.clear()
        assert (caught.value.details, caught.value.body) == ((), b"")  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", ["half_body", "drop_before", "unreadable", "503", faults.slow(100)])
async def test_a_fault_that_passes_is_repeated(fake: FakeSpot, place: Path, fault: Fault | str) -> None:
    spot = fake.client(timeout_s=10)
    report = await report_of(spot)
    fake.faults.add(fault, path=FILE)

    saved = await spot.reports.save(report, place)

    assert fake.operation_counts["reports.save"] == 2
    assert hold_only(place, place.read_bytes())
    assert saved.sha256 == hashlib.sha256(place.read_bytes()).hexdigest()


async def test_links_that_were_renewed_lead_to_the_file_again(fake: FakeSpot, spot: SpotClient, place: Path) -> None:
    report = await report_of(spot)
    fake.report_files.expire()
    with pytest.raises(LinkExpiredError):
        await spot.reports.save(report, place)

    await spot.reports.save(await report_of(spot), place)

    assert place.exists()


async def test_a_token_that_is_refused_is_asked_for_once_more(fake: FakeSpot, place: Path) -> None:
    asked: list[str] = []

    def token() -> str:
        asked.append(fake.token)
        return fake.token

    spot = fake.client(token=token)
    report = await report_of(spot)
    fake.token = "rotated"

    await spot.reports.save(report, place)

    assert asked == ["test-token", "rotated"]
    assert tokens_at(fake) == ["Token test-token", "Token rotated"]


async def test_a_full_disk_leaves_nothing(fake: FakeSpot, spot: SpotClient, small_disk: Path) -> None:
    fake.report_files["large.pdf"] = b"%PDF-" + bytes(2_000_000)
    place = small_disk / "a.pdf"
    place.write_bytes(OLD)

    with pytest.raises(OSError, match="No space left") as caught:
        await spot.reports.save(fake.report_files.url("large.pdf"), place)

    assert caught.value.errno == errno.ENOSPC
    assert hold_only(place, OLD)


@pytest.mark.parametrize("step", ["write", "sync", "put_in_place"])
async def test_a_disk_that_fails_at_any_step_leaves_nothing(
    spot: SpotClient, place: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "canary of the disk")

    report = await report_of(spot)
    monkeypatch.setattr(private_files.NewFile, step, fail)

    with pytest.raises(OSError, match="canary of the disk") as caught:
        await spot.reports.save(report, place)

    assert hold_only(place, None)
    assert (caught.value.errno, spot.stats.in_flight, spot.stats.waiting) == (errno.EIO, 0, 0)


async def test_too_many_open_files_are_waited_for(
    fake: FakeSpot, spot: SpotClient, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = private_files.NewFile
    troubles = [OSError(errno.EMFILE, "too many open files")]

    def create(path: Path) -> private_files.NewFile:
        if troubles:
            raise troubles.pop()
        return made(path)

    report = await report_of(spot)
    monkeypatch.setattr(private_files, "NewFile", create)

    await spot.reports.save(report, place)

    assert fake.operation_counts["reports.save"] == 1

    troubles += [OSError(errno.EMFILE, "too many open files") for _ in range(3)]
    with pytest.raises(NotSentError, match="too many open files, so nothing was sent"):
        await spot.reports.save(report, place)


# Where requests go, and what goes with them


async def test_the_token_goes_to_the_apis_own_server_alone(
    fake: FakeSpot, storage: FakeSpot, spot: SpotClient, place: Path
) -> None:
    await spot.reports.save(fake.report_files.url("a.pdf"), place)
    await spot.reports.save(storage.report_files.url("a.pdf"), place, hosts=named(storage))

    assert tokens_at(fake) == ["Token test-token"]
    assert tokens_at(storage) == [None]
    assert storage.requests[-1].headers["host"] == named(storage)[0]


async def test_another_server_is_not_asked_unless_it_is_named(storage: FakeSpot, spot: SpotClient, place: Path) -> None:
    with pytest.raises(InvalidInputError, match="not allowed"):
        await spot.reports.save(storage.report_files.url("a.pdf"), place)
    with pytest.raises(InvalidInputError, match="not allowed"):
        await spot.reports.save(storage.report_files.url("a.pdf"), place, hosts=["127.0.0.1:1", "127.0.0.1"])

    assert not storage.requests


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_without_the_token(
    fake: FakeSpot, storage: FakeSpot, spot: SpotClient, place: Path, code: int
) -> None:
    fake.faults.add(faults.redirect(code, storage.report_files.url("b.pdf")), path=FILE)

    await spot.reports.save(fake.report_files.url("a.pdf"), place, hosts=named(storage))

    assert b"(b.pdf)" in place.read_bytes()
    assert (tokens_at(fake), tokens_at(storage)) == (["Token test-token"], [None])
    assert spot.stats.attempts == 2


async def test_a_redirect_to_a_server_that_is_not_named_reaches_nobody(
    fake: FakeSpot, storage: FakeSpot, spot: SpotClient, place: Path
) -> None:
    fake.faults.add(faults.redirect(location=storage.report_files.url("b.pdf")), path=FILE)

    with pytest.raises(OutcomeUnknownError, match="name it in hosts") as caught:
        await spot.reports.save(fake.report_files.url("a.pdf"), place)

    assert (caught.value.reason, caught.value.status) == ("redirect", 302)
    assert not storage.requests


async def test_three_redirects_are_followed_and_the_way_back_brings_no_token(
    fake: FakeSpot, storage: FakeSpot, spot: SpotClient, place: Path
) -> None:
    there, here = storage.report_files.url("b.pdf"), fake.report_files.url("c.pdf")
    fake.faults.add(faults.redirect(location="d.pdf"), path=FILE)
    fake.faults.add(faults.redirect(location=there), path=FILE)
    storage.faults.add(faults.redirect(location=here), path=FILE)
    fake.report_files.needs_token = False

    await spot.reports.save(fake.report_files.url("a.pdf"), place, hosts=named(storage))

    assert tokens_at(fake) == ["Token test-token", "Token test-token", None]
    assert tokens_at(storage) == [None]


async def test_a_repeat_begins_where_the_link_leads(
    fake: FakeSpot, storage: FakeSpot, spot: SpotClient, place: Path
) -> None:
    # Two redirects each time: those of an earlier attempt do not count.
    for location in (fake.report_files.url("d.pdf"), storage.report_files.url("b.pdf")) * 2:
        fake.faults.add(faults.redirect(location=location), path=FILE)
    storage.faults.add("half_body", path=FILE)

    await spot.reports.save(fake.report_files.url("a.pdf"), place, hosts=named(storage))

    assert [request.path.rpartition("/")[2] for request in fake.requests] == ["a.pdf", "d.pdf"] * 2
    assert len(storage.requests) == 2


async def test_another_server_that_is_asked_too_often_holds_up_its_own_call_alone(
    fake: FakeSpot, storage: FakeSpot, place: Path
) -> None:
    loop = asyncio.get_running_loop()
    spot = fake.client(max_pause_s=100)
    storage.faults.add(faults.status(429, retry_after=60), path=FILE)
    storage.faults.add(faults.status(503, retry_after=500), path=FILE)

    saving = asyncio.ensure_future(spot.reports.save(storage.report_files.url("a.pdf"), place, hosts=named(storage)))
    while not storage.requests:
        await asyncio.sleep(0.001)
    await asyncio.sleep(1)
    began_s = loop.time()
    await spot.kits.get(KIT)

    assert loop.time() - began_s < 1
    await saving
    assert 160 <= loop.time() < 200


class Watching(Observer):
    def __init__(self) -> None:
        self.records: list[Any] = []

    def begin(self, subject: Any, parent: Any) -> None:  # noqa: ARG002 - as in its base
        self.records.append(subject)

    def sending(self, mark: Any, headers: dict[str, str]) -> None:  # noqa: ARG002 - as in its base
        headers["traceparent"] = "00-1-1-01"

    def attempt(self, mark: Any, record: Any) -> None:  # noqa: ARG002 - as in its base
        self.records.append(record)

    def end(self, mark: Any, record: Any) -> None:  # noqa: ARG002 - as in its base
        self.records.append(record)


async def test_observers_see_each_request_and_nothing_of_the_link(
    fake: FakeSpot, storage: FakeSpot, place: Path
) -> None:
    observer = Watching()
    spot = fake.client(observer=observer)
    fake.faults.add(faults.redirect(location=storage.report_files.url("b.pdf")), path=FILE)

    await spot.reports.save(fake.report_files.url("canary.pdf"), place, hosts=named(storage))
    await spot.reports.save(storage.report_files.url("canary.pdf"), place, hosts=named(storage))

    assert "canary" not in repr(observer.records)
    assert {record.operation for record in observer.records} == {"GET report file"}
    first, hop, last, end, second, *_ = observer.records
    assert (first.method, first.template, first.port) == ("GET", None, int(fake.url.rpartition(":")[2]))
    assert (hop.status, hop.outcome, last.status, last.attempt, end.attempts) == (302, "ok", 200, 2, 2)
    assert second.port == int(storage.url.rpartition(":")[2])
    assert "traceparent" in fake.requests[0].headers
    assert all("traceparent" not in request.headers for request in storage.requests)


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
async def test_a_session_that_would_send_a_credential_of_its_own_elsewhere_is_refused(
    fake: FakeSpot, storage: FakeSpot, place: Path, name: str
) -> None:
    async with aiohttp.ClientSession(headers={name: "Token canary"}) as session:
        spot = fake.client(session=session)

        await spot.reports.save(fake.report_files.url("a.pdf"), place)
        with pytest.raises(ConfigError, match="session has an Authorization among its headers"):
            await spot.reports.save(storage.report_files.url("a.pdf"), place, hosts=named(storage))

    assert not storage.requests
    assert tokens_at(fake) == ["Token test-token"]


async def test_a_callers_session_brings_files_as_well(fake: FakeSpot, storage: FakeSpot, place: Path) -> None:
    async with aiohttp.ClientSession() as session:
        spot = fake.client(session=session)
        fake.faults.add(faults.redirect(location=storage.report_files.url("b.pdf")), path=FILE)

        await spot.reports.save(fake.report_files.url("a.pdf"), place, hosts=named(storage))

    assert storage.requests[0].headers["accept-encoding"] == "identity"
    assert (tokens_at(fake), tokens_at(storage)) == (["Token test-token"], [None])


async def test_files_keep_to_the_clients_limits(fake: FakeSpot, tmp_path: Path) -> None:
    spot, fake.latency_s = fake.client(concurrency=3), 0.1

    await asyncio.gather(
        *(spot.reports.save(fake.report_files.url(f"{n}.pdf"), tmp_path / f"{n}.pdf") for n in range(12))
    )

    assert fake.peak_in_flight == 3
    assert len([*tmp_path.iterdir()]) == 12


# What ends a call in its middle


class CancelledAt:
    """Awaits a coroutine, and has its task cancelled at one of the coroutine's own waits, counted from 0."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], wait: int) -> None:
        self._coroutine, self._at, self.waits = coroutine, wait, 0

    def __await__(self) -> Generator[Any, Any, Any]:
        go_on: Callable[[], Any] = partial(self._coroutine.send, None)
        while True:
            try:
                awaited = go_on()
            except StopIteration as end:
                return end.value
            task = asyncio.current_task()
            assert task is not None
            if self.waits == self._at:
                task.cancel()
            self.waits += 1
            try:
                yield awaited
                go_on = partial(self._coroutine.send, None)
            except BaseException as error:  # noqa: BLE001 - the coroutine gets it
                go_on = partial(self._coroutine.throw, error)


TO_ITSELF = faults.redirect(location="a.pdf?signature=00000001")


@pytest.mark.parametrize("fault", [None, "half_body", "expired_link", TO_ITSELF])
async def test_a_call_cancelled_at_any_wait_leaves_no_part_of_a_file(
    fake: FakeSpot, tmp_path: Path, fault: Fault | str | None
) -> None:
    fake.report_files["a.pdf"] = whole = b"%PDF-" + bytes(300_000)
    left: list[bytes | None] = []
    for wait in range(200):
        place = tmp_path / f"{wait}" / "a.pdf"
        place.parent.mkdir()
        place.write_bytes(OLD)
        fake.faults.clear()
        if fault is not None:
            fake.faults.add(fault, path=FILE)
        async with fake.client(retry=RetryPolicy(base_s=0.01)) as spot:
            calling = CancelledAt(spot.reports.save(fake.report_files.url("a.pdf"), place), wait)
            with suppress(asyncio.CancelledError, LinkExpiredError):
                await calling
            task = asyncio.current_task()
            assert task is not None
            is_cancelled = bool(task.cancelling())
            task.uncancel()
            assert (spot.stats.in_flight, spot.stats.waiting) == (0, 0)
        left.append(place.read_bytes())
        assert hold_only(place, left[-1])
        if not is_cancelled:
            break

    assert len(left) > 3
    assert left[0] == OLD
    assert left[-1] == (OLD if fault == "expired_link" else whole)
    assert set(left) <= {OLD, whole}


async def test_a_client_closed_at_any_step_leaves_no_part_of_a_file(fake: FakeSpot, tmp_path: Path) -> None:
    fake.report_files["a.pdf"] = whole = b"%PDF-" + bytes(300_000)
    for steps in range(0, 60, 2):
        place = tmp_path / f"{steps}" / "a.pdf"
        place.parent.mkdir()
        spot = fake.client()
        call = asyncio.ensure_future(spot.reports.save(fake.report_files.url("a.pdf"), place))
        for _ in range(steps):
            await asyncio.sleep(0)
        await spot.close()
        (end,) = await asyncio.gather(call, return_exceptions=True)

        assert hold_only(place, whole if place.exists() else None), end
        assert place.exists() != isinstance(end, SpotError)


async def test_a_deadline_leaves_no_part_of_a_file(fake: FakeSpot, place: Path) -> None:
    spot = fake.client(deadline_s=5)
    fake.faults.add(faults.slow(100), path=FILE)

    with pytest.raises(OutcomeUnknownError, match="deadline_s passed"):
        await spot.reports.save(fake.report_files.url("a.pdf"), place)

    assert hold_only(place, None)
