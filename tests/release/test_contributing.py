"""What CONTRIBUTING.md names is there: files, targets of make, sessions of nox, and names in files."""

import re
from pathlib import Path

import pytest

from tests.release.conftest import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
QUOTED = {*re.findall(r"`([^`]+)`", TEXT)}
PATHS = {
    word
    for quoted in QUOTED
    for word in quoted.split()
    if re.fullmatch(r"\.?[\w-]+(/[\w.-]+)+/?|\w+\.(md|py|toml)", word) and not word.startswith((".venv/", "api/"))
}
NAMES_IN_FILES = re.findall(
    r"((?:`\w+`(?:,| and)? )*`\w+`) in (?:the noun's file in )?`([\w/.]+\.py)`",
    TEXT,
)


def test_every_file_and_folder_is_there() -> None:
    made_by_a_build = {"dist/"}

    assert len(PATHS) > 25
    assert [path for path in sorted(PATHS - made_by_a_build) if not (ROOT / path).exists()] == []


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)

    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def defines(path: Path, name: str) -> bool:
    text = path.read_text(encoding="utf-8")
    return re.search(rf"^ *(?:async )?(?:def )?{name}\b[ :=(]", text, re.MULTILINE) is not None


def test_every_name_is_in_the_file_that_it_is_said_to_be_in() -> None:
    pairs = [(name, path) for names, path in NAMES_IN_FILES for name in re.findall(r"\w+", names) if name != "and"]

    assert len(pairs) > 5
    missing = [(name, path) for name, path in pairs if not defines(ROOT / path, name)]
    assert missing == []


def test_every_target_and_session_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    targets = {
        word for quoted in QUOTED if quoted.startswith("make ") for word in quoted.split()[1:] if "=" not in word
    }
    sessions = {quoted.split()[-1] for quoted in QUOTED if "nox --session" in quoted}

    assert targets >= {"test", "check", "release-check"}
    assert [target for target in sorted(targets) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []
    assert sessions == {"tests", "aiohttp", "no_orjson"}
    assert [name for name in sessions if f"def {name}(session: nox.Session" not in noxfile] == []


@pytest.mark.parametrize("folder", sorted(path.name for path in (ROOT / "tests").iterdir() if path.is_dir()))
def test_every_folder_of_tests_is_told_of(folder: str) -> None:
    if folder in {"__pycache__", "samples"}:
        return

    assert f"`tests/{folder}`" in PAGE
