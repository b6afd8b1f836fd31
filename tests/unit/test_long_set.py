"""What is kept for the long test set is in it, and what runs without the tracer starts no process with it."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_file_that_keeps_cases_for_the_long_set_is_in_it() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    played = [ROOT / place for place in re.findall(r"^LONG := (.*)", makefile, re.MULTILINE)[0].split()]
    asking = re.compile(r"from tests\.long_set import|environ\.get\(.SPOTDX_CHAOS.\)|\bchaos: ")
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if asking.search(path.read_text(encoding="utf-8"))]

    assert [place for place in played if not place.exists()] == []
    assert [path.name for path in files if not any(path.is_relative_to(place) for place in played)] == []
    assert len(files) > 15


@pytest.mark.no_cover
def test_a_test_without_the_tracer_starts_its_processes_without_it() -> None:
    assert [name for name in os.environ if name.startswith("COVERAGE_")] == []


def test_all_others_keep_it(pytestconfig: pytest.Config) -> None:
    is_covered = pytestconfig.pluginmanager.hasplugin("_cov")

    assert ("COVERAGE_PROCESS_CONFIG" in os.environ) == is_covered
