"""``spotdx kits|orders|requisitions get`` of many ids, and whole lists, against the fake server, in this process."""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest
import pytest_asyncio

from spotdx_async import SpotError
from spotdx_async.cli.app import run
from spotdx_async.cli.lookups import in_order
from spotdx_async.models import Kit
from spotdx_async.testing import FakeSpot, faults

Spotdx: TypeAlias = Callable[..., Awaitable[tuple[int, str, str]]]
IDS = [f"SPOT{number:06}" for number in range(1, 251)]


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=IDS) as server:
        yield server


@pytest.fixture
def spotdx(fake: FakeSpot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Spotdx:
    monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
    monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)

    async def command(*argv: str, given: bytes | None = None) -> tuple[int, str, str]:
        if given is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = await asyncio.to_thread(run, argv)
        return code, *capsys.readouterr()

    return command


def ids_in(out: str) -> list[str]:
    return [json.loads(line)["kit_id"] for line in out.splitlines()]


async def test_many_kits_are_one_object_a_line_in_the_order_of_their_ids(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add(faults.slow(0.05), kit_id=IDS[7])
    wanted = [IDS[7], IDS[3], IDS[200], IDS[3]]

    code, out, err = await spotdx("kits", "get", *wanted, "--json")

    assert (code, ids_in(out), err) == (0, wanted, "")


async def test_ids_come_from_standard_input_with_blank_lines_and_a_mark(spotdx: Spotdx) -> None:
    given = b"\xef\xbb\xbfSPOT000002\r\n\n  SPOT000001 \nSPOT000003"

    code, out, err = await spotdx("kits", "get", "SPOT000009", "-", "--json", given=given)

    assert (code, ids_in(out), err) == (0, ["SPOT000009", "SPOT000002", "SPOT000001", "SPOT000003"], "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
async def test_ids_come_as_any_shell_writes_them(spotdx: Spotdx, encoding: str, end: str) -> None:
    given = end.join([*IDS[:2], ""]).encode(encoding)

    code, out, err = await spotdx("kits", "get", "-", "--json", given=given)

    assert (code, ids_in(out), err) == (0, IDS[:2], "")


async def test_one_id_of_standard_input_is_one_line_too(spotdx: Spotdx) -> None:
    code, out, _ = await spotdx("kits", "get", "-", "--json", given=b"SPOT000002\n")

    assert (code, ids_in(out), out.count("\n")) == (0, ["SPOT000002"], 1)


async def test_a_missing_one_is_named_and_the_others_are_shown(spotdx: Spotdx) -> None:
    code, out, err = await spotdx("kits", "get", IDS[0], "GONE", "..", IDS[1], "--json")

    assert (code, ids_in(out)) == (1, IDS[:2])
    gone, odd = [json.loads(line)["error"] for line in err.splitlines()]
    assert (gone["id"], gone["status"], odd["id"], odd["status"]) == ("GONE", 404, "..", None)
    code, _, err = await spotdx("kits", "get", IDS[0], "GONE", IDS[1])
    assert (code, err.count("\n"), err.startswith("spotdx: GONE: GET /api/v2/kits/{kit_id}/: ")) == (1, 1, True)


async def test_a_single_missing_one_is_an_error_as_before(spotdx: Spotdx) -> None:
    code, out, err = await spotdx("kits", "get", "GONE")

    assert (code, out, err.count("\n"), "GONE" in err) == (1, "", 1, False)


async def test_a_broken_object_keeps_back_no_other_and_a_broken_server_ends_it(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add(faults.body(b"[1]", executes=False), times=None, kit_id=IDS[1])
    code, out, err = await spotdx("kits", "get", *IDS[:3], "--json")
    assert (code, ids_in(out), err.count("\n")) == (1, [IDS[0], IDS[2]], 1)

    fake.faults.clear()
    fake.faults.add("403", times=None)
    code, out, err = await spotdx("kits", "get", *IDS[:50], "--json")
    assert (code, out) == (1, "")
    assert f"stopped at {IDS[2]}: 48 objects not shown" in err
    assert err.count("\n") == 4


async def test_a_refused_token_ends_it_at_once(spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "stale")

    code, out, err = await spotdx("kits", "get", *IDS, "--json")

    assert (code, out, err.count("\n")) == (1, "", 2)
    assert "250 objects not shown" in err


async def test_the_rate_and_the_concurrency_hold(spotdx: Spotdx) -> None:
    began_s = asyncio.get_running_loop().time()
    code, out, _ = await spotdx("kits", "get", *IDS[:6], "--json", "--concurrency", "3", "--rate", "20")
    assert (code, ids_in(out)) == (0, IDS[:6])
    assert asyncio.get_running_loop().time() - began_s >= 0.15  # a burst of two, then one each 50 ms
    code, _, err = await spotdx("kits", "get", IDS[0], IDS[1], "--rate", "0")
    assert (code, "rate must be a number above 0" in err) == (2, True)


async def test_orders_and_requisitions_are_had_in_the_same_way(spotdx: Spotdx, fake: FakeSpot) -> None:
    wanted = fake.orders.add_many(3)

    code, out, _ = await spotdx("orders", "get", *reversed(wanted))

    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line.startswith("  order_id ")] == [*reversed(wanted)]
    assert (await spotdx("requisitions", "get", "-", given=b"\n"))[0] == 2


async def test_what_is_no_option_is_no_id(spotdx: Spotdx, fake: FakeSpot) -> None:
    code, out, err = await spotdx("kits", "get", IDS[0], "--nope")

    assert (code, out, "unknown option --nope" in err, fake.requests) == (2, "", True, [])


async def test_at_most_so_many_are_had_at_once_and_none_after_the_reader_left() -> None:
    running = most = begun = 0

    async def get(an_id: str) -> Kit:
        nonlocal running, most, begun
        running, begun = running + 1, begun + 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Kit(kit_id=an_id)

    async for an_id, kit in in_order(get, IDS, at_once=5):
        assert not isinstance(kit, SpotError)
        assert kit.kit_id == an_id
        if an_id == IDS[9]:
            break

    assert most <= 5
    assert begun <= 15


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_whole_list_is_streamed(spotdx: Spotdx, fake: FakeSpot, form: list[str]) -> None:
    code, out, err = await spotdx("kits", "list", "--all", *form)

    shown = ids_in(out) if form else [line.split("\t")[0] for line in out.splitlines()[1:]]
    assert (code, shown, err) == (0, IDS, "")
    assert [request.query["offset"] for request in fake.requests] == ["0", "100", "200"]


async def test_a_list_is_limited_unless_all_is_asked_for(spotdx: Spotdx) -> None:
    code, out, err = await spotdx("kits", "list")
    assert (code, out.count("\n"), err) == (0, 101, "spotdx: the first 100 kits; --limit or --all shows more\n")
    code, out, err = await spotdx("kits", "list", "--json")
    assert (code, len(json.loads(out)), err) == (0, 100, "spotdx: the first 100 kits; --limit or --all shows more\n")
    code, out, err = await spotdx("kits", "list", "--limit", "150", "--json")
    assert (code, len(json.loads(out)), err) == (0, 150, "")
    assert (await spotdx("kits", "list", "--limit", "1"))[2] == "spotdx: the first one; --limit or --all shows more\n"
    code, _, err = await spotdx("kits", "list", "--limit", "150", "--all")
    assert (code, "pass --limit or --all, not both" in err) == (2, True)


async def test_the_columns_are_those_that_are_asked_for(spotdx: Spotdx) -> None:
    code, out, _ = await spotdx("kits", "list", "--columns", "created,kit_id", "--limit", "1")
    assert (code, out.splitlines()[0], out.splitlines()[1].split("\t")[1]) == (0, "created\tkit_id", IDS[0])
    code, out, _ = await spotdx("kits", "list", "--columns", "kit_id", "--all", "--json")
    assert (code, json.loads(out.splitlines()[0])) == (0, {"kit_id": IDS[0]})

    code, out, _ = await spotdx("orders", "list", "--columns", "order_id,recipient.address.city")
    assert (code, "<hidden>" in out, "Springfield" in out) == (0, True, False)
    code, out, _ = await spotdx("orders", "list", "--columns", "order_id, recipient.address.city", "--show-phi")
    assert (code, "Springfield" in out) == (0, True)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("kit_id,nope", "--columns: nope is not a field; the fields are kit_id, kit_type, order_id, kit_status"),
        ("", "--columns: an empty name is not a field"),
        ("kit_id,kit_id", "a field is named twice"),
    ],
)
async def test_what_is_no_column_is_refused_before_anything_is_sent(
    spotdx: Spotdx, fake: FakeSpot, columns: str, reason: str
) -> None:
    code, out, err = await spotdx("kits", "list", "--columns", columns)

    assert (code, out, reason in err, fake.requests) == (2, "", True, [])


@pytest.mark.parametrize("words", [["kits", "list"], ["orders", "list"], ["kits", "types"], ["doctor"]])
async def test_no_list_offers_what_is_about_ids(spotdx: Spotdx, words: list[str]) -> None:
    code, _, err = await spotdx(*words, "--allow-any-id")

    assert (code, "--allow-any-id" in err) == (2, True)
