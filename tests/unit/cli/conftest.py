"""Screens kept as files: a test compares what is shown with them, or writes them anew where that is asked for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture
def same_screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Compare a screen of 80 columns with the file of that name; SPOTDX_UPDATE_SNAPSHOTS=1 writes the file instead."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def compare(name: str, shown: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        text = "".join(f"{line.rstrip()}\n" for line in shown.splitlines())
        if os.environ.get("SPOTDX_UPDATE_SNAPSHOTS") == "1":
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"there is no {path.name}: SPOTDX_UPDATE_SNAPSHOTS=1 writes it"
        assert text == path.read_text(encoding="utf-8"), (
            f"{path.name} differs: SPOTDX_UPDATE_SNAPSHOTS=1 writes it anew"
        )

    return compare
