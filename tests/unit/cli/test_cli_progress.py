"""Throughput, time left, and the two displays."""

import asyncio
import io
import sys

import pytest

from spotdx_async.cli.output import Streams, counted, duration, pace
from spotdx_async.cli.progress import Estimator, Standing, display_for, keep_showing


def standing(**changes: float | None) -> Standing:
    about: dict[str, float | None] = {"rows": 1234, "failures": 1, "rows_per_s": 56.7, "share": 0.5, "left_s": 61.0}
    return Standing(**{**about, **changes})  # type: ignore[arg-type]


def test_the_throughput_is_that_of_the_last_seconds() -> None:
    estimator = Estimator(100.0)
    first = estimator.standing(102.0, rows=20, failures=0, share=0.1)
    assert first.rows_per_s == pytest.approx(10.0)
    assert first.left_s == pytest.approx(18.0)
    estimator.standing(120.0, rows=20, failures=0, share=0.1)
    estimator.standing(125.0, rows=120, failures=3, share=0.35)
    later = estimator.standing(130.0, rows=320, failures=3, share=0.6)
    assert later.rows_per_s == pytest.approx(30.0)
    assert later.left_s == pytest.approx(8.0)
    assert later.failures == 3


def test_what_is_long_ago_does_not_count() -> None:
    estimator = Estimator(0.0)
    for second in range(1, 100):
        estimator.standing(float(second), rows=0, failures=0, share=0.0)
    now = estimator.standing(100.0, rows=110, failures=0, share=0.1)
    assert now.rows_per_s == pytest.approx(10.0, rel=0.15)


def test_without_a_size_or_a_throughput_no_time_is_promised() -> None:
    assert Estimator(0.0).standing(1.0, rows=5, failures=0, share=None).left_s is None
    assert Estimator(0.0).standing(1.0, rows=0, failures=0, share=0.0).left_s is None
    assert Estimator(0.0).standing(1.0, rows=5, failures=0, share=1.0).left_s is None
    assert Estimator(0.0).standing(0.0, rows=0, failures=0, share=0.0).rows_per_s == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (600, "10:00"), (3661, "1:01:01")]
)
def test_durations_read_as_a_clock_shows_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_number_takes_its_noun_along() -> None:
    assert [counted(number, "row") for number in (0, 1, 1000)] == ["0 rows", "1 row", "1,000 rows"]


@pytest.mark.parametrize(
    ("rows_per_s", "text"),
    [
        (0, "0 rows/s"),
        (0.43, "0.4 rows/s"),
        (1, "1.0 rows/s"),
        (9.94, "9.9 rows/s"),
        (9.96, "10 rows/s"),
        (1234.5, "1,234 rows/s"),
    ],
)
def test_a_slow_run_is_not_told_as_one_that_stands_still(rows_per_s: float, text: str) -> None:
    assert pace(rows_per_s) == text


def test_a_standing_in_words_says_only_what_is_known() -> None:
    assert standing().text == "1,234 rows, 57 rows/s, 1 failure, 50% done, 1:01 left"
    assert standing(share=None, left_s=None).text == "1,234 rows, 57 rows/s, 1 failure"


def test_off_a_terminal_each_standing_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    display = display_for(Streams(), "Updating")
    display.show(standing())
    display.close(standing())
    assert capsys.readouterr() == ("", f"spotdx: {standing().text}\n")
    assert display.every_s >= 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("share", "shown"), [(0.5, "50%"), (None, "1,234 rows")])
def test_on_a_terminal_a_bar_is_drawn_over_itself(
    monkeypatch: pytest.MonkeyPatch, share: float | None, shown: str
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    display = display_for(Streams(), "Updating")
    display.show(standing(share=share, left_s=None if share is None else 61.0))
    display.close(standing(share=1.0, left_s=None))
    drawn = terminal.getvalue()
    assert shown in drawn
    assert "\x1b[2K" in drawn
    assert ("1:01 left" in drawn) == (share is not None)
    assert display.every_s < 1


def test_a_terminal_that_cannot_draw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "dumb")
    display_for(Streams(), "Updating").show(standing())
    assert terminal.getvalue() == f"spotdx: {standing().text}\n"


@pytest.mark.virtual_time
async def test_standings_are_shown_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    display = display_for(Streams(), "Updating")
    showing = asyncio.create_task(keep_showing(display, lambda now_s: standing(rows=round(now_s))))
    await asyncio.sleep(3 * display.every_s + 1)
    showing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await showing
    assert capsys.readouterr().err.count("rows/s") == 3
