"""The server's reasons in every command, hidden with a hint that works or shown; and wrong addresses."""

import json
from pathlib import Path

import pytest

from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Spotdx

REASON = "last_name: Canary is on hold"
ANSWER = {"error": {"code": 400, "type": "bad_request", "details": [REASON]}}
REFUSAL = faults.body(json.dumps(ANSWER).encode(), status=400, executes=False)
COMMANDS = [
    ["kits", "get", "SPOT123456"],
    ["kits", "list"],
    ["kits", "types"],
    ["kits", "update", "rows.csv"],
    ["kits", "activate", "SPOT123456", "--patient-id", "3c90c3cc-0d44-4b50-8888-8dd25736052a", "--yes"],
    ["orders", "get", "O1234567"],
    ["orders", "list"],
    ["orders", "update", "rows.csv", "--map", "kit_id=order_id"],
    ["orders", "reconcile", "--client-ref", "x"],
    ["requisitions", "get", "3c90c3cc-0d44-4b50-8888-8dd25736052a"],
    ["requisitions", "list"],
    ["tokens", "create", "3c90c3cc-0d44-4b50-8888-8dd25736052a"],
    ["doctor"],
]


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("kit_id,a\nSPOT123456,1\n")


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: " ".join(argv[:2]))
async def test_the_reasons_are_hidden_until_they_are_asked_for_as_the_hint_says(
    spotdx: Spotdx, fake: FakeSpot, argv: list[str]
) -> None:
    fake.faults.add(REFUSAL, times=None)

    code, out, err = await spotdx(*argv)
    assert code == 1
    assert "the server gave 1 reason, which may name patients: --show-phi shows it" in out + err
    assert "Canary" not in out + err
    assert "details says" not in out + err

    code, out, err = await spotdx(*argv, "--show-phi")
    assert (code, f"the server says: {REASON}" in out + err) == (1, True)


async def test_no_hint_is_given_where_there_is_nothing_to_show(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add(faults.status(400, form="empty"))

    code, _, err = await spotdx("kits", "get", "NOPE")

    assert (code, "--show-phi" in err) == (1, False)


@pytest.mark.parametrize("words", [["config"], ["kits", "types"], ["kits", "update", "rows.csv"]])
async def test_a_server_with_the_apis_path_is_refused_and_its_origin_named(
    spotdx: Spotdx, fake: FakeSpot, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "must end before /api/v2, which is added to it"

    code, out, err = await spotdx(*words, "--base-url", f"{fake.url}/api/v2/")
    assert (code, out, f"--base-url {said}" in err, err.count("\n")) == (2, "", True, 1)
    monkeypatch.setenv("SPOTDX_BASE_URL", f"{fake.url}/api/v2")
    code, out, err = await spotdx(*words)
    assert (code, out, f"SPOTDX_BASE_URL {said}" in err) == (2, "", True)
    monkeypatch.setenv("SPOTDX_BASE_URL", "")
    code, out, err = await spotdx(*words)
    assert (code, out, "SPOTDX_BASE_URL is empty: set it" in err) == (2, "", True)
    assert fake.requests == []
    assert (await spotdx(*words, "--base-url", fake.url))[0] == 0


async def test_the_doctor_says_what_is_wrong_with_an_address(spotdx: Spotdx, fake: FakeSpot) -> None:
    code, out, _ = await spotdx("doctor", "--base-url", f"{fake.url}/api/v2")

    assert (code, "FAIL  settings" in out, "--base-url must end before /api/v2" in out) == (1, True, True)


async def test_a_profile_with_the_apis_path_is_refused(
    spotdx: Spotdx, fake: FakeSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("config.toml").write_text(f'[profiles.a]\nbase_url = "{fake.url}/api/v2"\n')
    monkeypatch.setenv("SPOTDX_CONFIG", "config.toml")

    code, _, err = await spotdx("config")

    assert (code, "[profiles.a] base_url must end before /api/v2" in err) == (2, True)


async def test_the_settings_take_the_options_of_other_commands(spotdx: Spotdx) -> None:
    options = ("--rate", "5", "--concurrency", "7", "--lands-within", "9", "--allow-any-id", "--timeout", "3")

    code, out, _ = await spotdx("config", *options, "--json")

    shown = {name: (one["value"], one["from"]) for name, one in json.loads(out).items()}
    assert code == 0
    assert (shown["rate"], shown["concurrency"]) == ((5, "--rate"), (7, "--concurrency"))
    assert (shown["lands_within"], shown["timeout"]) == ((9, "--lands-within"), (3, "--timeout"))
    assert shown["allow_any_id"] == (True, "--allow-any-id")


@pytest.mark.parametrize("option", ["--rate", "--timeout", "--concurrency", "--lands-within"])
async def test_the_settings_refuse_what_is_out_of_range(spotdx: Spotdx, option: str) -> None:
    code, out, err = await spotdx("config", option, "0")

    assert (code, out, err.startswith(f"spotdx: {option} must be a "), err.count("\n")) == (2, "", True, 1)


async def test_the_wrong_word_about_colours_is_wrong_usage(spotdx: Spotdx) -> None:
    assert await spotdx("kits", "types", "--color", "blue") == (
        2,
        "",
        "spotdx: --color must be auto, always or never (see spotdx --help)\n",
    )
