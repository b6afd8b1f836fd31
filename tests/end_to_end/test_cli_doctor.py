"""``spotdx doctor`` and ``spotdx config`` against the fake server, in this process."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Done, Spotdx


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(token="canary-token-44") as server:
        yield server


@pytest.fixture
def spotdx(spotdx: Spotdx) -> Spotdx:
    async def command(*argv: object) -> Done:
        done = await spotdx(*argv)
        assert "canary" not in done.out + done.err
        return done

    return command


@pytest.fixture
def profiles(fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    command = [sys.executable, "-c", f"print({fake.token[:6]!r} + {fake.token[6:]!r})"]
    path.write_text(
        f"[profiles.command]\nbase_url = {json.dumps(fake.url)}\ntoken_command = {json.dumps(command)}\nrate = 50\n"
        f'[profiles.variable]\nbase_url = {json.dumps(fake.url)}\ntoken_env = "NIGHT_TOKEN"\n'
    )
    monkeypatch.setenv("SPOTDX_CONFIG", str(path))
    monkeypatch.setenv("NIGHT_TOKEN", fake.token)
    return path


def findings(out: str) -> dict[str, Any]:
    found = json.loads(out)
    assert all((one["state"] == "ok") == (one["next"] is None) for one in found)
    return {one["check"]: one for one in found}


async def test_a_server_that_is_well_passes_every_check(spotdx: Spotdx, fake: FakeSpot) -> None:
    code, out, err = await spotdx("doctor", "--json")

    assert (code, err) == (0, "")
    found = findings(out)
    assert list(found) == ["version", "settings", "dns", "tcp", "tls", "clock", "token"]
    assert {one["state"] for one in found.values()} == {"ok"}
    assert [request.method for request in fake.requests] == ["HEAD", "GET"]


@pytest.mark.parametrize("body", [b'{"message": "canary"}', b"{}", b"<html>canary</html>", b"null", b"7"])
async def test_what_answers_in_the_place_of_the_api_is_no_fault_of_the_token(
    spotdx: Spotdx, fake: FakeSpot, body: bytes
) -> None:
    fake.faults.add(faults.body(body, executes=False), times=None, method="GET")

    code, out, _ = await spotdx("doctor", "--json")

    found = findings(out)
    assert (code, "token" in found, found["api"]["state"]) == (1, False, "FAIL")
    assert "the API did not answer, so the token could not be tested" in found["api"]["text"]
    assert "something else answers in its place" in found["api"]["next"]
    code, _, err = await spotdx("kits", "get", "SPOT000001")
    assert (code, "something else may be answering instead of the API" in err) == (1, True)


async def test_an_empty_list_of_kit_types_proves_nothing(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add(faults.body(b"[]", executes=False), times=None, method="GET")

    code, out, _ = await spotdx("doctor", "--json")

    assert (code, findings(out)["token"]["state"]) == (0, "warn")
    assert "could have come from something else" in findings(out)["token"]["text"]


@pytest.mark.parametrize(
    ("status", "told", "step"),
    [
        ("401", "does not accept the token (401)", "put a valid one into the environment variable SPOTDX_TOKEN"),
        ("403", "knows the token, but does not let it list kit types (403)", "ask the vendor for permission"),
        ("404", "answered 404", "check the id"),
    ],
)
async def test_a_refused_token_is_told_from_one_that_may_not(
    spotdx: Spotdx, fake: FakeSpot, status: str, told: str, step: str
) -> None:
    fake.faults.add(status, times=None, method="GET")

    code, out, _ = await spotdx("doctor", "--json")

    assert code == 1
    assert findings(out)["token"]["state"] == "FAIL"
    assert told in findings(out)["token"]["text"]
    assert step in findings(out)["token"]["next"]


async def test_a_missing_token_fails_with_where_to_put_it(spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN")

    code, out, _ = await spotdx("doctor")

    assert code == 1
    assert "token from the environment variable SPOTDX_TOKEN, which is not set\n" in out
    assert "FAIL  token     no token: set the environment variable SPOTDX_TOKEN" in out


async def test_wrong_settings_end_the_examination(spotdx: Spotdx, profiles: Path) -> None:
    profiles.write_text('token = "canary"')

    code, out, _ = await spotdx("doctor", "--json")

    assert code == 1
    assert list(findings(out)) == ["version", "settings"]
    assert findings(out)["settings"]["state"] == "FAIL"
    assert "no token belongs in this file" in findings(out)["settings"]["text"]


@pytest.mark.parametrize(
    ("words", "variable", "step"),
    [
        (["--base-url", "ftp://x"], None, "correct --base-url"),
        (["--timeout", "0"], None, "correct --timeout"),
        ([], ("SPOTDX_BASE_URL", "ftp://x"), "correct SPOTDX_BASE_URL, or unset it"),
        (
            ["--base-url", "https://spot.invalid"],  # the settings end it, before any look-up
            ("SPOTDX_PROXY", "socks5://u:canary@proxy.example.com:1"),
            "correct SPOTDX_PROXY, or unset it",
        ),
        ([], ("SPOTDX_PROFILE", "gone"), "spotdx config --example shows a correct file"),
        ([], ("SPOTDX_CONFIG", "gone.toml"), "spotdx config --example shows a correct file"),
    ],
)
async def test_the_step_about_wrong_settings_names_where_they_come_from(
    spotdx: Spotdx, words: list[str], variable: tuple[str, str] | None, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv(*variable)

    code, out, _ = await spotdx("doctor", *words, "--json")

    assert (code, findings(out)["settings"]["next"]) == (1, step)


@pytest.mark.parametrize("name", ["SPOTDX_CA_FILE", "SPOTDX_CLIENT_CERT", "SPOTDX_CLIENT_KEY"])
async def test_a_file_of_tls_that_cannot_be_used_is_no_fault_of_the_token(
    spotdx: Spotdx, fake: FakeSpot, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "gone.pem")

    code, out, _ = await spotdx("doctor", "--json")

    found = findings(out)
    assert (code, "token" in found, found["tls"]["state"]) == (1, False, "FAIL")
    assert name in found["tls"]["text"]
    assert found["tls"]["next"] == "correct the setting, or the file that it names"
    assert fake.requests == []


async def test_a_server_that_is_not_there_is_not_asked(spotdx: Spotdx, fake: FakeSpot) -> None:
    await fake.close()

    code, out, _ = await spotdx("doctor", "--json")

    assert code == 1
    assert list(findings(out)) == ["version", "settings", "dns", "tcp"]


@pytest.mark.usefixtures("profiles")
@pytest.mark.parametrize("profile", ["command", "variable"])
async def test_commands_take_server_and_token_from_a_profile(
    spotdx: Spotdx, fake: FakeSpot, profile: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SPOTDX_TOKEN", "SPOTDX_BASE_URL"):
        monkeypatch.delenv(name)
    rows = tmp_path / "kits.csv"
    rows.write_text("kit_id,a\nSPOT123456,1\n")

    assert (await spotdx("kits", "types", "--profile", profile))[0] == 0
    monkeypatch.setenv("SPOTDX_PROFILE", profile)
    assert (await spotdx("kits", "update", rows, "--json"))[0] == 0
    assert (await spotdx("doctor"))[0] == 0
    assert fake.kits["SPOT123456"].metadata == {"a": "1"}


@pytest.mark.usefixtures("profiles")
async def test_an_unknown_profile_is_wrong_usage_and_nothing_is_sent(spotdx: Spotdx, fake: FakeSpot) -> None:
    code, out, err = await spotdx("kits", "types", "--profile", "comand")

    assert (code, out, fake.requests) == (2, "", [])
    assert "did you mean command?" in err


@pytest.mark.usefixtures("profiles")
async def test_the_settings_in_force_are_shown_with_who_said_them_and_without_the_token(
    spotdx: Spotdx, fake: FakeSpot
) -> None:
    code, out, _ = await spotdx("config", "--profile", "command", "--timeout", "9", "--json")

    assert code == 0
    shown = {name: (said["value"], said["from"]) for name, said in json.loads(out).items()}
    assert shown["base_url"] == (fake.url, "SPOTDX_BASE_URL")
    assert shown["timeout"] == (9.0, "--timeout")
    assert shown["rate"] == (50, "profile command")
    assert shown["concurrency"] == (64, "default")
    assert shown["token"] == ("the environment variable SPOTDX_TOKEN", "environment")


async def test_without_a_file_the_place_for_one_is_shown(
    spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "disabled by SPOTDX_CONFIG" in (await spotdx("config"))[1]
    monkeypatch.delenv("SPOTDX_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    assert f"it would be {tmp_path}/spotdx/config.toml" in (await spotdx("config"))[1]


@pytest.mark.usefixtures("profiles")
async def test_a_token_command_is_run_once_for_an_act_that_is_asked_about(
    spotdx: Spotdx, tmp_path: Path, fake: FakeSpot, monkeypatch: pytest.MonkeyPatch, profiles: Path
) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN")
    count, order = tmp_path / "count", tmp_path / "patient.json"
    script = f"open({str(count)!r}, 'a').write('x'); print({fake.token[:6]!r} + {fake.token[6:]!r})"
    profiles.write_text(f"[profiles.p]\ntoken_command = {json.dumps([sys.executable, '-c', script])}\n")
    patient = {"first_name": "A", "last_name": "B", "email": "a@example.org", "phone": "2025550199", "sex": "F"}
    order.write_text(json.dumps({**patient, "date_of_birth": "1990-01-31"}))

    code, _, _ = await spotdx("patients", "create", order, "--yes", "--profile", "p")

    assert (code, count.read_text()) == (0, "x")


async def test_a_token_command_is_run_again_when_the_server_refuses_its_token(
    spotdx: Spotdx, tmp_path: Path, fake: FakeSpot, monkeypatch: pytest.MonkeyPatch, profiles: Path
) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN")
    mark = tmp_path / "mark"
    script = (
        f"import pathlib; mark = pathlib.Path({str(mark)!r}); is_renewed = mark.exists(); mark.touch(); "
        f"print({fake.token[:6]!r} + {fake.token[6:]!r} if is_renewed else 'stale-token')"
    )
    profiles.write_text(f"[profiles.p]\ntoken_command = {json.dumps([sys.executable, '-c', script])}\n")

    assert (await spotdx("kits", "types", "--profile", "p"))[0] == 0
    assert fake.counts["401"] == 1
