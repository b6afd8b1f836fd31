"""Every line of ``create_faults.toml`` is true, the file is whole, and the page is made of it."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from .create_page import PAGE, CreateFault, create_faults, groups, page
from .create_surroundings import BETWEEN, KILLS, SET_UPS
from .playing_creates import play_create

FAULTS = create_faults()


@pytest.mark.virtual_time
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
async def test_a_line_is_true(
    fault: CreateFault, tmp_path: Path, wall: Callable[[], datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again, stage = await play_create(fault, tmp_path, wall, monkeypatch)

    known = again.known_after_a_kill if fault.killed else first.known
    assert (known, first.became, again.became_again) == (fault.known, fault.becomes, fault.again)
    assert (first.sent + again.sent, len(stage.created)) == (fault.sent, fault.created)


def test_faults_have_names_of_their_own_and_every_group_has_some() -> None:
    assert [name for name, count in Counter(fault.id for fault in FAULTS).items() if count > 1] == []
    assert list(dict.fromkeys(fault.group for fault in FAULTS)) == [*groups()]


def test_nothing_is_created_twice_as_long_as_the_assumptions_hold() -> None:
    assert [fault.id for fault in FAULTS if fault.created > 1 and fault.group != "broken"] == []


def test_what_may_go_wrong_around_a_run_is_played() -> None:
    assert {fault.set_up for fault in FAULTS} - {""} == SET_UPS.keys()
    assert {fault.killed for fault in FAULTS} - {""} == KILLS.keys()
    assert {fault.between for fault in FAULTS} - {""} == BETWEEN.keys()


def test_the_page_is_the_file_s() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/matrix/create_page.py --write"
