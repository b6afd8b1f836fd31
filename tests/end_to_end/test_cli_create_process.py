"""``spotdx orders create`` as a process: asked on a real terminal, fed and read through pipes."""

import asyncio
import json
import os
import pty
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.testing import FakeSpot
from tests.patience import PATIENCE_S

ADDRESS = {"street1": "1 Canary Lane", "city": "Canaryville", "state": "IL", "country": "US", "zip": "60609"}
PERSON = {"first_name": "Canary", "last_name": "Bird", "email": "canary@example.org", "phone": "2025550199"}
ORDER = json.dumps({"kit_types": ["health_kit_1"], "recipient": {**PERSON, "address": ADDRESS}}).encode()


@pytest.fixture
def order(tmp_path: Path) -> str:
    path = tmp_path / "order.json"
    path.write_bytes(ORDER)
    return str(path)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


async def start(fake: FakeSpot, *argv: str, **streams: Any) -> Process:
    env = {**os.environ, "SPOTDX_TOKEN": fake.token, "SPOTDX_BASE_URL": fake.url, "TERM": "dumb"}
    command = (sys.executable, "-m", "spotdx_async", "orders", "create", *argv)
    return await asyncio.create_subprocess_exec(*command, env=env, **streams)


async def finish(process: Process, data: bytes | None = None) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(data), PATIENCE_S)
    assert process.returncode is not None
    return process.returncode, (out or b"").decode(), (err or b"").decode()


async def seen_up_to(words: bytes, terminal: int) -> str:
    seen = b""
    async with asyncio.timeout(PATIENCE_S):
        while words not in seen:
            seen += await asyncio.to_thread(os.read, terminal, 10_000)
    return seen.decode()


@pytest.mark.parametrize(("typed", "code", "placed"), [(b"y\n", 0, 1), (b"n\n", 3, 0), (b"\x04", 3, 0)])
async def test_a_person_at_a_terminal_is_asked(
    fake: FakeSpot, order: str, terminal: tuple[int, int], *, typed: bytes, code: int, placed: int
) -> None:
    ours, theirs = terminal
    process = await start(fake, order, "--json", stdin=theirs, stdout=PIPE, stderr=theirs)

    question = await seen_up_to(b"[y/N] ", ours)
    assert fake.requests == []
    os.write(ours, typed)
    got, out, _ = await finish(process)

    assert question == f"Order 1 kit (health_kit_1 x1) for one recipient on {fake.url}? [y/N] "
    assert (got, len(fake.creations)) == (code, placed)
    assert [json.loads(out)["status"]] == ["pending"] if placed else out == ""
    if not placed:
        assert "nothing was sent" in await seen_up_to(b"sent", ours)


async def test_an_order_comes_through_a_pipe_with_a_yes_alone(fake: FakeSpot) -> None:
    for yes, code, placed in (((), 2, 0), (("--yes",), 0, 1)):
        process = await start(fake, "-", *yes, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        got, _, err = await finish(process, ORDER)
        assert (got, len(fake.creations)) == (code, placed)
        assert ("pass --yes" in err) == (not placed)


async def test_a_pipe_that_holds_no_object_is_refused(fake: FakeSpot) -> None:
    process = await start(fake, "-", "--yes", stdin=PIPE, stdout=PIPE, stderr=PIPE)

    code, out, err = await finish(process, b"[" + ORDER + b"]")

    said = "standard input: the file is not a JSON object; rows need --batch NAME and --journal PATH"
    assert (code, out, err, fake.requests) == (2, "", f"spotdx: {said}\n", [])


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_reader_that_has_gone_changes_nothing_of_what_was_done(
    fake: FakeSpot, order: str, form: list[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = await start(fake, order, "--yes", *form, stdin=DEVNULL, stdout=writing, stderr=PIPE)
    finally:
        os.close(writing)

    code, _, err = await finish(process)

    assert (code, err.count("\n"), len(fake.creations)) == (0, 1, 1)
    assert err.startswith("spotdx: client reference ")
