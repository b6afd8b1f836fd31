"""``spotdx`` as a person runs it: files in, counts and exit codes out, against the fake server."""

import asyncio
import json
import os
import pty
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spotdx_async.testing import FakeSpot, faults
from tests.patience import PATIENCE_S, until


class Shell:
    """Runs the command line as its own process, against one fake server."""

    def __init__(self, fake: FakeSpot) -> None:
        self.fake = fake
        self.environment = {**os.environ, "SPOTDX_BASE_URL": fake.url, "SPOTDX_TOKEN": fake.token, "COLUMNS": "160"}

    async def start(self, *arguments: str, stderr: int = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "spotdx_async",
            *arguments,
            env=self.environment,
            stdin=pipe,
            stdout=pipe,
            stderr=stderr,
        )

    async def run(self, *arguments: str, given: bytes = b"") -> tuple[int, str, str]:
        process = await self.start(*arguments)
        out, err = await asyncio.wait_for(process.communicate(given), 60)
        assert process.returncode is not None
        assert b"Traceback" not in err
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def shell() -> AsyncIterator[Shell]:
    async with FakeSpot(kits=[f"K{n}" for n in range(50)]) as fake:
        yield Shell(fake)


@pytest.fixture
def good_file(tmp_path: Path) -> Path:
    path = tmp_path / "kits.csv"
    path.write_text("kit_id,cohort,site\n" + "".join(f"K{n},A{n},\n" for n in range(50)))
    return path


async def test_a_csv_file_is_sent_and_counted(shell: Shell, good_file: Path) -> None:
    shell.fake.faults.add("503", times=5)

    code, out, err = await shell.run("kits", "update", str(good_file), "--json")

    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert (facts["rows"], facts["ok"], shell.fake.counts["requests"]) == (50, 50, 55)
    assert all(shell.fake.kits[f"K{n}"].metadata == {"cohort": f"A{n}"} for n in range(50))


async def test_json_lines_on_standard_input_keep_their_types(shell: Shell) -> None:
    rows = b'{"kit_id": "K1", "metadata": {"n": 12345678901234567890123, "x": [1.5, null, true]}}\n'

    code, out, _ = await shell.run("kits", "update", "-", given=rows)

    assert code == 0
    assert "ok" in out
    assert shell.fake.kits["K1"].metadata == {"n": 12345678901234567890123, "x": [1.5, None, True]}


async def test_bad_rows_are_named_and_kept_for_feeding_in_again(shell: Shell, tmp_path: Path) -> None:
    path, failed = tmp_path / "kits.csv", tmp_path / "failed.csv"
    path.write_bytes(b"kit_id,cohort\nK1,A\n,B\nK2,C,D\nGONE,E\nK3,\xff\nK4,F\n")

    code, out, err = await shell.run("kits", "update", str(path), "--failed", str(failed), "--json")

    assert code == 1
    facts = json.loads(out)
    assert (facts["rows"], facts["ok"], facts["rejected"], facts["failed"]) == (6, 2, 3, 1)
    for row in (2, 3, 4, 5):
        assert f"row {row} " in err
    assert "GONE" not in err
    assert stat.S_IMODE(failed.stat().st_mode) == 0o600
    assert sorted(failed.read_bytes().splitlines()) == sorted(
        [b"kit_id,cohort", b",B", b"K2,C,D", b"GONE,E", b"K3,\xff"]
    )

    shell.fake.kits.add("GONE")
    code, out, _ = await shell.run("kits", "update", str(failed), "--json")
    assert (code, json.loads(out)["ok"]) == (1, 1)


async def test_a_dry_run_checks_every_row_and_sends_nothing(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "kits.csv"
    path.write_text("kit_id,cohort\nK1,A\n..,B\n")
    del shell.environment["SPOTDX_TOKEN"]

    code, out, err = await shell.run("kits", "update", str(path), "--dry-run", "--json")

    assert (code, json.loads(out)["rejected"]) == (1, 1)
    assert "row 2" in err
    assert shell.fake.counts["requests"] == 0


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        (None, []),
        ("", []),
        ("id,cohort\nK1,A\n", []),
        ("kit_id,a,a\nK1,A,B\n", []),
        ("kit_id,a\nK1,A\n", ["--rate", "0"]),
        ("kit_id,a\nK1,A\n", ["--rate", "fast"]),
        ("kit_id,a\nK1,A\n", ["--colour"]),
        ("kit_id,a\nK1,A\n", ["--concurrency", "0"]),
        ("kit_id,a\nK1,A\n", ["--base-url", "http://example.org"]),
        ("kit_id,a\nK1,A\n", ["--token", "t"]),
    ],
)
async def test_wrong_usage_and_unusable_input_end_with_2_before_anything_is_sent(
    shell: Shell, tmp_path: Path, content: str | None, arguments: list[str]
) -> None:
    path = tmp_path / "kits.csv"
    if content is not None:
        path.write_text(content)

    code, out, err = await shell.run("kits", "update", str(path), *arguments)

    assert code == 2
    assert out + err
    assert shell.fake.counts["requests"] == 0


async def test_a_missing_token_says_where_to_put_one(shell: Shell, good_file: Path) -> None:
    del shell.environment["SPOTDX_TOKEN"]

    code, _, err = await shell.run("kits", "update", str(good_file))

    assert code == 2
    assert "SPOTDX_TOKEN" in err


async def test_a_refused_token_stops_the_run_with_3(shell: Shell, good_file: Path, tmp_path: Path) -> None:
    shell.environment["SPOTDX_TOKEN"] = "wrong-token-9"
    failed = tmp_path / "failed.csv"

    code, out, err = await shell.run("kits", "update", str(good_file), "--failed", str(failed), "--json")

    facts = json.loads(out)
    assert code == 3
    assert facts["ok"] == 0
    assert "token" in facts["stopped"]
    assert "wrong-token-9" not in out + err
    assert len(failed.read_text().splitlines()) == 1 + facts["rows"]


async def test_an_interrupt_lets_what_is_under_way_finish_and_accounts_for_it(shell: Shell, tmp_path: Path) -> None:
    shell.fake.latency_s = 0.2
    path = tmp_path / "kits.csv"
    path.write_text("kit_id,cohort\n" + "".join(f"K{n % 50},{n}\n" for n in range(5000)))
    process = await shell.start("kits", "update", str(path), "--json", "--concurrency", "5")
    await until(lambda: shell.fake.counts["200"] >= 10)
    process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 30)

    facts = json.loads(out)
    assert process.returncode == 3
    assert facts["ok"] == shell.fake.counts["executed"] < 100
    assert facts["ok"] + facts["skipped"] == facts["rows"]
    assert b"stopped early by a signal" in err


async def test_a_second_interrupt_ends_at_once(shell: Shell, good_file: Path) -> None:
    shell.fake.latency_s = 30
    process = await shell.start("kits", "update", str(good_file), "--json", "--concurrency", "5")
    await until(lambda: shell.fake.in_flight == 5)
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    assert b"stopping" in await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)
    process.send_signal(signal.SIGTERM)
    out, _ = await asyncio.wait_for(process.communicate(), 10)

    facts = json.loads(out)
    assert process.returncode == 3
    assert facts["unknown"] == 5  # those that were sent
    assert facts["skipped"] == facts["rows"] - 5


async def test_a_terminal_gets_a_live_bar(shell: Shell, good_file: Path) -> None:
    master, slave = pty.openpty()
    process = await shell.start("kits", "update", str(good_file), stderr=slave)
    os.close(slave)
    await asyncio.wait_for(process.communicate(), 30)
    screen = os.read(master, 1_000_000).decode()
    os.close(master)

    assert process.returncode == 0
    assert "50 rows" in screen
    assert "100%" in screen


async def test_a_kit_is_shown_without_patient_data_unless_asked_for(shell: Shell) -> None:
    shell.fake.kits.add("SHOWN")
    registrant = shell.fake.kits["SHOWN"].document["registered_to"]
    patients = [registrant[name] for name in ("first_name", "last_name", "email", "phone", "date_of_birth")]
    for arguments in (["kits", "get", "SHOWN"], ["kits", "get", "SHOWN", "--json"]):
        code, out, _ = await shell.run(*arguments)
        assert code == 0
        assert "SHOWN" in out
        assert not any(patient in out for patient in patients)
    code, out, _ = await shell.run("kits", "get", "SHOWN", "--json", "--show-phi")
    assert all(patient in out for patient in patients)


async def test_lists_and_types_are_tables_or_json(shell: Shell) -> None:
    code, out, _ = await shell.run("kits", "list", "--limit", "7", "--json")
    assert (code, len(json.loads(out))) == (0, 7)
    code, out, _ = await shell.run("kits", "list", "--limit", "7")
    assert (code, "K3" in out) == (0, True)
    code, out, _ = await shell.run("kits", "types", "--json")
    assert "health_kit_1" in json.loads(out)
    code, out, err = await shell.run("kits", "list", "--created-after", "yesterday")
    assert (code, "created_after" in err) == (2, True)


async def test_what_the_server_says_cannot_drive_the_terminal(shell: Shell) -> None:
    shell.fake.faults.add(faults.body(json.dumps({"kit_id": "K1", "status": "\x1b[31m[red]"}).encode()))

    _, out, _ = await shell.run("kits", "get", "K1")

    assert "\x1b" not in out
    assert "[red]" in out


async def test_an_unknown_kit_ends_with_1_and_no_traceback(shell: Shell) -> None:
    code, out, err = await shell.run("kits", "get", "NOPE-7")

    assert (code, out) == (1, "")
    assert "404" in err
    assert "NOPE-7" not in err


async def test_the_demo_ends_with_every_kit_holding_its_value(shell: Shell) -> None:
    code, out, _ = await shell.run("demo", "--kits", "300", "--seed", "4")

    assert code == 0
    assert "Every kit holds its value" in out


async def test_the_sandbox_serves_until_it_is_interrupted(shell: Shell) -> None:
    process = await shell.start("sandbox", "--port", "0", "--kits", "5")
    assert process.stdout is not None
    values: dict[str, str] = {}
    while len(values) < 2:
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        values |= dict(pair.split("=", 1) for pair in line.split() if pair.startswith("SPOTDX_"))
    shell.environment |= values
    code, out, _ = await shell.run("kits", "list", "--json")
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 10)

    assert (code, len(json.loads(out)), process.returncode) == (0, 5, 0)


async def test_without_its_extra_the_command_line_says_which_to_install(shell: Shell) -> None:
    hide = "import sys; sys.modules['cyclopts'] = None; from spotdx_async.__main__ import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", hide, stderr=asyncio.subprocess.PIPE, env=shell.environment
    )
    _, err = await process.communicate()

    assert process.returncode == 2
    assert b"spotdx-async[cli]" in err


async def test_help_and_version_name_the_commands(shell: Shell) -> None:
    code, out, _ = await shell.run("--help")
    assert code == 0
    assert all(word in out for word in ("kits", "demo", "sandbox"))
    code, out, _ = await shell.run("--version")
    assert (code, "0.1.0" in out) == (0, True)
