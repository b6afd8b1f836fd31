"""Options of every command: before it and behind it, help, errors as JSON, quiet, verbose, the log file."""

import asyncio
import json
import logging
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async import __version__
from spotdx_async._http.runner import Runner
from spotdx_async.cli.app import run
from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Done, Spotdx

FIELDS = {"kind", "message", "hint", "status", "request_id", "details", "id", "exit_code"}
ORDER = {
    "kit_types": ["health_kit_1"],
    "recipient": {
        "first_name": "Canary",
        "last_name": "Bird",
        "email": "canary@example.org",
        "phone": "2025550199",
        "address": {"street1": "1 Canary Lane", "city": "C", "state": "IL", "country": "US", "zip": "60609"},
    },
}


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(token="canary-token-44") as server:
        yield server


@pytest.fixture
def spotdx(spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Spotdx:
    monkeypatch.setattr(Runner, "lands_within_s", 0.2)  # commands live in real time
    monkeypatch.chdir(tmp_path)
    Path("order.json").write_text(json.dumps(ORDER))
    Path("kits.csv").write_text("kit_id,a\nSPOT123456,1\n")

    async def command(*argv: str) -> Done:
        done = await spotdx(*argv)
        assert "canary" not in (done.out + done.err).lower()
        return done

    return command


def error_in(err: str) -> dict[str, Any]:
    """Return the object in the last line."""
    (shown,) = json.loads(err.splitlines()[-1]).values()
    assert set(shown) == FIELDS
    return dict(shown)


async def test_options_may_stand_before_the_command(
    spotdx: Spotdx, fake: FakeSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("config.toml").write_text(f'[profiles.x]\nbase_url = "{fake.url}"\n')
    monkeypatch.setenv("SPOTDX_CONFIG", "config.toml")
    monkeypatch.delenv("SPOTDX_BASE_URL")

    for words in (
        ["--profile", "x", "kits", "get", "SPOT123456", "--json"],
        ["--profile=x", "--json", "--color", "never", "kits", "get", "SPOT123456"],
        ["--json", "kits", "get", "--profile", "x", "--", "SPOT123456"],
    ):
        code, out, err = await spotdx(*words)
        assert (code, json.loads(out)["kit_id"], err) == (0, "SPOT123456", "")
    code, _, err = await spotdx("--profile", "y", "kits", "types")
    assert (code, 'the profile "y"' in err, "(it has x)" in err) == (2, True, True)
    assert (await spotdx("--profile", "x", "kits", "types", "--profile", "x"))[0] == 2
    assert (await spotdx("--profile"))[0] == 2


async def test_help_and_the_version_have_more_than_one_way(spotdx: Spotdx) -> None:
    assert await spotdx("help") == await spotdx("--help") == await spotdx()
    for words in (["kits"], ["kits", "get"], ["doctor"]):
        assert await spotdx("help", *words) == await spotdx(*words, "--help")
    assert (await spotdx("help", "nope"))[0] == 2
    assert await spotdx("-V") == (0, f"spotdx-async {__version__}\n", "")


@pytest.mark.parametrize(
    ("argv", "kind", "code", "status"),
    [
        (["kits", "get", "GONE"], "NotFoundError", 1, 404),
        (["orders", "get", "GONE"], "NotFoundError", 1, 404),
        (["requisitions", "get", "GONE"], "NotFoundError", 1, 404),
        (["kits", "get", ".."], "InvalidInputError", 2, None),
        (["kits", "list", "--limit", "0"], "InvalidInputError", 2, None),
        (["kits", "list", "--nope"], "UsageError", 2, None),
        (["kits", "types", "--timeout", "0"], "ConfigError", 2, None),
        (["kits", "types", "--color", "blue"], "UsageError", 2, None),
        (["kits", "types", "--log-file", "kits.csv"], "ConfigError", 2, None),
        (["kits", "update", "none.csv"], "InvalidInputError", 2, None),
        (["orders", "create", "order.json"], "InvalidInputError", 2, None),
        (["tokens", "create", "nobody"], "NotFoundError", 1, 404),
        (["runs", "show", "none.journal"], "JournalError", 2, None),
        (["config", "--rate", "0"], "ConfigError", 2, None),
        (["nope"], "UsageError", 2, None),
    ],
)
async def test_an_error_under_json_is_one_object_of_one_form(
    *, spotdx: Spotdx, argv: list[str], kind: str, code: int, status: int | None
) -> None:
    got, out, err = await spotdx(*argv, "--json")

    assert (got, out, err.count("\n")) == (code, "", 1)
    shown = error_in(err)
    assert (shown["kind"], shown["exit_code"], shown["status"]) == (kind, code, status)
    assert shown["message"]


async def test_the_reasons_are_in_the_object_if_they_are_asked_for(spotdx: Spotdx, fake: FakeSpot) -> None:
    body = json.dumps({"error": {"code": 400, "details": ["last_name: on hold"]}}).encode()
    fake.faults.add(faults.body(body, status=400, executes=False), times=None)

    hidden, shown = [error_in((await spotdx("kits", "types", "--json", *more))[2]) for more in ((), ("--show-phi",))]

    assert (hidden["details"], shown["details"]) == ("<hidden>", ["last_name: on hold"])
    assert "details says" not in hidden["message"]


async def test_each_missing_one_of_many_is_an_object_with_its_id(spotdx: Spotdx) -> None:
    code, out, err = await spotdx("kits", "get", "GONE", "SPOT123456", "GONE2", "--json")

    assert (code, out.count("\n")) == (1, 1)
    assert [json.loads(line)["error"]["id"] for line in err.splitlines()] == ["GONE", "GONE2"]


@pytest.mark.parametrize("fault", ["drop_before", "400", "500"])
async def test_a_create_that_failed_ends_in_one_object(spotdx: Spotdx, fake: FakeSpot, fault: str) -> None:
    fake.faults.add(fault, method="POST")

    code, out, err = await spotdx("orders", "create", "order.json", "--yes", "--json")

    assert (code, out, [line[0] for line in err.splitlines()].count("{")) == (1, "", 1)
    shown = error_in(err)
    assert shown["exit_code"] == 1
    if fault == "400":
        assert (shown["kind"], shown["status"]) == ("BadRequestError", 400)
    else:
        assert (shown["kind"], shown["hint"]) == (
            "OutcomeUnknownError",
            "it was not done: you may run the same command again",
        )


async def test_what_nobody_can_know_is_an_object_with_its_exit_code(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add("404", times=None, order_id="ORDER123456")

    code, out, err = await spotdx("orders", "create", "order.json", "--yes", "--json", "--client-ref", "R")

    assert (code, out, error_in(err)["exit_code"]) == (3, "", 3)


async def test_quiet_says_what_needs_attention_alone(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add(faults.status(429, retry_after=0))
    fake.faults.add(faults.status(429, retry_after=1))
    assert (await spotdx("-q", "kits", "list", "--limit", "1"))[2] == ""

    code, _, err = await spotdx("kits", "get", "GONE", "--quiet")
    assert (code, "answered 404" in err) == (1, True)
    assert (await spotdx("kits", "types", "-q", "-v"))[0] == 2


async def test_verbose_says_what_is_tried_again(spotdx: Spotdx, fake: FakeSpot) -> None:
    logger, before = logging.getLogger("spotdx_async"), logging.getLogger("spotdx_async").level
    for options, is_said in (((), False), (("-v",), True)):
        fake.faults.add("503")
        code, _, err = await spotdx("kits", "types", *options)
        assert (code, "GET /api/v2/kit_types" in err) == (0, is_said)
    assert logger.level == before


async def test_the_log_file_is_private_and_names_nothing(
    spotdx: Spotdx, fake: FakeSpot, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.faults.add("503", times=2)
    body = json.dumps({"error": {"code": 400, "details": ["last_name: Canary"]}}).encode()
    words = ("kits", "list", "--last-name", "Canaryson", "--log-file", "night.log", "-v", "--show-phi")

    await spotdx(*words)
    fake.faults.add(faults.body(body, status=400, executes=False))
    await asyncio.to_thread(run, [*words, "--no-color"])
    assert "last_name: Canary" in capsys.readouterr().err
    await spotdx("orders", "create", "order.json", "--yes", "--log-file=night.log")
    await spotdx("kits", "get", "GONE", "--log-file=night.log")

    text = Path("night.log").read_text()
    assert stat.S_IMODE(Path("night.log").stat().st_mode) == 0o600
    for word in ("anary", fake.token, "GONE", "order.json", "2025550199", "client_ref"):
        assert word not in text
    assert text.count(f"INFO spotdx-async {__version__}: spotdx kits list\n") == 2
    assert "spotdx orders create\n" in text
    assert "GET /api/v2/kits/" in text
    assert [line.split(" after ")[0].rpartition(" ")[2] for line in text.splitlines() if "exit code" in line] == [
        *("0", "1", "0", "1")
    ]
    assert all(line.split(" ")[1] in {"INFO", "ERROR", "WARNING"} for line in text.splitlines())


@pytest.mark.parametrize("token", [["--token=canary-token"], ["--token", "canary-token"]], ids=["=", "beside"])
@pytest.mark.parametrize(
    "words",
    [
        ("kits", "update", "rows.csv"),
        ("kits", "get", "SPOT1"),
        ("kits", "list"),
        ("orders", "create", "order.json"),
        ("kits", "activate", "SPOT1"),
        (),
    ],
    ids=" ".join,
)
async def test_a_token_on_the_line_is_not_shown_and_is_told_where_it_belongs(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, words: tuple[str, ...], token: list[str]
) -> None:
    log = tmp_path / "spotdx.log"

    done = await spotdx(*words, *token, "--log-file", log)

    assert (done.code, done.out, fake.requests) == (2, "", [])
    assert "the token is never an argument: set the environment variable SPOTDX_TOKEN" in done.err
    assert "canary" not in done.err + log.read_text()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("kits", "update", "rows.csv", "--jornal=a"), "--journal"),
        (("orders", "create", "rows.csv", "--jornal", "a"), "--journal"),
        (("kits", "get", "SPOT1", "--shwo-phi"), "--show-phi"),
        (("kits", "list", "--kit-stauts", "canceled"), "--kit-status"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
async def test_an_option_that_is_mistyped_is_told_with_the_one_that_is_meant(
    spotdx: Spotdx, fake: FakeSpot, words: tuple[str, ...], meant: str
) -> None:
    done = await spotdx(*words)

    assert (done.code, done.out, fake.requests) == (2, "", [])
    assert f"id you mean {meant}?" in done.err
    assert "=a" not in done.err


async def test_what_is_no_log_is_not_written_to(spotdx: Spotdx, fake: FakeSpot) -> None:
    before = Path("kits.csv").read_bytes()
    Path("kits.csv").chmod(0o644)
    Path("link.log").symlink_to("kits.csv")

    for path in ("kits.csv", "link.log", ".", "none/x.log", "/dev/null"):
        code, out, err = await spotdx("kits", "types", "--log-file", path)
        assert (code, out, err.startswith("spotdx: --log-file: "), fake.requests) == (2, "", True, [])

    assert (Path("kits.csv").read_bytes(), stat.S_IMODE(Path("kits.csv").stat().st_mode)) == (before, 0o644)
    assert (await spotdx("kits", "types", "--log-file"))[0] == 2
