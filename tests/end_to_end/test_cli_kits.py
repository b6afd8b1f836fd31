"""``spotdx kits get|list|types`` and the help, in this process."""

import json

import pytest

from spotdx_async import __version__
from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Spotdx

PHI = ["Alice", "Smith", "1990-01-01", "alice123@gmail.com", "1234567890", "9400123456789999876500", "HDL"]


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_kit_is_shown_without_patient_data_unless_asked_for(spotdx: Spotdx, form: list[str]) -> None:
    code, out, err = await spotdx("kits", "get", "SPOT123456", *form)
    assert (code, err) == (0, "")
    assert "SPOT123456" in out
    assert "<hidden>" in out
    assert [word for word in PHI if word in out] == []
    code, out, err = await spotdx("kits", "get", "SPOT123456", "--show-phi", *form)
    assert (code, err) == (0, "")
    assert [word for word in PHI if word in out] == PHI


async def test_a_kit_as_json_is_one_object(spotdx: Spotdx, fake: FakeSpot) -> None:
    _, out, _ = await spotdx("kits", "get", "SPOT123456", "--json", "--show-phi")
    assert json.loads(out) == fake.kits["SPOT123456"].document


async def test_kits_are_listed_oldest_first_up_to_the_limit(spotdx: Spotdx) -> None:
    code, out, err = await spotdx("kits", "list", "--json")
    assert (code, err) == (0, "")
    assert [kit["kit_id"] for kit in json.loads(out)] == ["SPOT123456", "SPOT234567", "SPOT345678"]
    code, out, err = await spotdx("kits", "list", "--limit", "2")
    assert ("SPOT123456" in out, "SPOT345678" in out) == (True, False)
    assert "the first 2 kits" in err


@pytest.mark.parametrize(
    ("options", "query"),
    [
        (["--kit-type", "a b", "--has-order"], {"kit_type": "a b", "has_order": "true"}),
        (["--no-has-order", "--created-after", "2024-01-31"], {"has_order": "false", "created_after": "2024-01-31"}),
        (["--email", "a@b.c", "--sample-status", "received"], {"email": "a@b.c", "sample_status": "received"}),
    ],
)
async def test_filters_are_passed_on(spotdx: Spotdx, fake: FakeSpot, options: list[str], query: dict[str, str]) -> None:
    code, _, _ = await spotdx("kits", "list", *options)
    assert code == 0
    asked = dict(fake.requests[-1].query)
    assert {name: asked.pop(name) for name in query} == query
    assert set(asked) <= {"results", "offset"}


async def test_kit_types_are_listed(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.state.kit_types.append("\x1b[31m[red]")
    code, out, _ = await spotdx("kits", "types")
    assert (code, "health_kit_1" in out, "\\x1b[31m[red]" in out) == (0, True, True)
    _, out, _ = await spotdx("kits", "types", "--json")
    assert json.loads(out) == fake.state.kit_types


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["kits", "get", "NOPE"], 1, "the server answered 404"),
        (["kits", "get", ".."], 2, "kit_id must not be empty"),
        (["kits", "list", "--created-after", "soon"], 2, "created_after must be a date"),
        (["kits", "list", "--limit", "-1"], 2, "--limit must be at least 1"),
        (["kits", "list", "extra"], 2, "spotdx: unexpected argument: extra (see spotdx kits list --help)"),
        (["kits", "list", "extra", "more"], 2, "spotdx: unexpected arguments: extra more (see"),
        (["--dry-run", "kits", "list"], 2, "--dry-run is not an option that may come before the command"),
        (["kits", "get"], 2, "spotdx: ID is missing (see spotdx kits get --help)"),
        (["orders", "reconcile", "r-1"], 2, "spotdx: --client-ref is missing (see spotdx orders reconcile --help)"),
        (["kits", "get", "a/b"], 2, "another path: --allow-any-id lets it through"),
        (["kits", "types", "--timeout", "0"], 2, "spotdx: --timeout must be a number above 0"),
        (["kits", "nope\x1b[31m[red]"], 2, "nope\\x1b[31m[red]"),
        (["nope"], 2, "Unknown command"),
    ],
)
async def test_an_error_is_one_line_and_a_code(spotdx: Spotdx, argv: list[str], code: int, reason: str) -> None:
    got, out, err = await spotdx(*argv)
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert err.startswith("spotdx: ")
    assert reason in err


async def test_a_refused_token_says_what_to_check(spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "stale-token")
    code, _, err = await spotdx("kits", "types")
    assert code == 1
    assert "; check SPOTDX_TOKEN" in err
    assert "stale-token" not in err


async def test_what_the_sdk_logs_is_one_line_among_others(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add(faults.status(429, retry_after=0))
    fake.faults.add(faults.status(429, retry_after=1))
    code, _, err = await spotdx("kits", "types")
    assert code == 0
    assert err.startswith("spotdx: the server asked for a pause")


async def test_without_a_command_the_help_is_shown(spotdx: Spotdx) -> None:
    for argv in ([], ["--help"]):
        code, out, _ = await spotdx(*argv)
        assert code == 0
        assert all(word in out for word in ("kits", "demo", "sandbox", "SPOTDX_TOKEN"))
    assert await spotdx("--version") == (0, f"spotdx-async {__version__}\n", "")


@pytest.mark.parametrize(
    "words", [["kits", "update"], ["kits", "get"], ["kits", "list"], ["kits", "types"], ["demo"], ["sandbox"]]
)
async def test_the_help_of_each_command_has_an_example(spotdx: Spotdx, words: list[str]) -> None:
    code, out, err = await spotdx(*words, "--help")
    assert (code, err) == (0, "")
    assert f"Example: spotdx {' '.join(words)}" in out
    assert "screen" not in out.lower()
