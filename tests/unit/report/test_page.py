"""The page's text: what it says, what it never says, and that nothing in it loads anything."""

import os
import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotdx_async import private_files
from spotdx_async.bulk.records import Outcome, Progress
from spotdx_async.errors import BadRequestError, InvalidInputError, NotFoundError, NotSentError, OutcomeUnknownError
from spotdx_async.report import Creates, RunStory, check_path, page, render, write_report
from spotdx_async.report.markup import Html, amount, duration, element, escaped, latency, rate
from spotdx_async.report.page import summary_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=\"alert(1)\"> & 'x' \ud800"


class Reader(HTMLParser):
    """Keeps every tag with its attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.words += data


def story_of_a_run(**settings_: Any) -> RunStory:
    run_stats = RunStory(settings_, 0.0)
    for n in range(400):
        run_stats.add(Outcome(index=n, key=f"SPOT{n}", state="ok", attempts=1, request_s=0.1, elapsed_s=0.4), n / 4)
    error = NotFoundError(HOSTILE, status=404, details=("Quisling",))
    run_stats.add(Outcome(index=777_111, key="SPOT999", state="failed", error=error), 50.0)
    for now_s, throttled, is_paused in ((20.0, 5, False), (30.0, 5, True), (40.0, 5, False)):
        progress = Progress(
            done=0,
            by_state={},
            rate=0.0,
            eta_s=None,
            throttled=throttled,
            is_paused=is_paused,
            elapsed_s=now_s,
            total=None,
        )
        run_stats.note(progress, now_s)
    run_stats.finish(100.0)
    return run_stats


def test_the_page_says_what_the_run_was() -> None:
    words = Reader(render(story_of_a_run(rate=25.0, journal=None, coalesce=True))).words

    for fact in (
        "401 rows in 100 s (4.01 rows/s): 400 done, 1 did not go through.",
        "The run was paused 1 time to wait for the server, 10 s in all.",
        "The server answered 429 (too many requests) 5 times.",
        *("99.75%", "99.9 % within", "100 ms", "400 ms", "failed: NotFoundError (404)"),
        *("coalesce", "yes", "journal", "not set", "aiohttp", "CPython"),
    ):
        assert fact in words


def story_of_creates(**about: Any) -> RunStory:
    run_stats = RunStory({}, 0.0)
    run_stats.operation = "POST /api/v2/orders/"
    states = ["ok"] * 6 + ["skipped"] * 2 + ["unknown"]
    error = OutcomeUnknownError("the answer never came; looking has not settled it", reason="dropped")
    for n, state in enumerate(states):
        found: Any = {"index": n, "key": f"P-{n}", "state": state, "error": error if state == "unknown" else None}
        run_stats.add(Outcome(**found), float(n))
    run_stats.finish(10.0)
    run_stats.creates = Creates(**{"done": "placed", **about})
    return run_stats


def test_the_page_of_a_run_that_creates_speaks_of_what_it_created() -> None:
    batch = {"placed": 8, "in doubt, parked": 1}

    words = Reader(render(story_of_creates(duplicates=(("O1", "O2"), ("O1", "O3")), batch=batch))).words

    for fact in (
        "Each row: POST /api/v2/orders/",
        "9 rows in 10 s (0.9 rows/s): 6 placed, 2 placed before, 1 in doubt, none failed.",
        "Created twice: 2 pairs of objects with the same reference.",
        "What was placed",
        "in doubt, parked1",
        "2 pairs with the same reference; none was cancelled",
        "O1O2",
        "O1O3",
        "in doubt: perhaps placed, and looking has not shown it; never sent again by itself",
        "certainly not placed",
    ):
        assert fact in words
    assert not [word for word in ("superseded", "P-1", "none.") if word in words]


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({}, "Looking for two objects with the same reference has found none."),
        ({"is_audited": False}, "What was created twice was not looked for at the end."),
        ({"audit_error": HOSTILE}, "Looking for what was created twice has failed: "),
    ],
)
def test_the_page_says_whether_duplicates_were_looked_for(about: dict[str, Any], says: str) -> None:
    reader = Reader(render(story_of_creates(**about)))

    assert says in reader.words
    assert "script" not in [tag for tag, _ in reader.tags]


def test_very_many_duplicates_are_counted_and_the_first_are_shown() -> None:
    words = Reader(render(story_of_creates(duplicates=tuple((f"O{n}", f"D{n}") for n in range(2000))))).words

    assert "2,000 pairs with the same reference, the first 50 of them" in words
    assert ("O49D49" in words, "O50D50" in words) == (True, False)


def test_the_page_names_the_server_and_the_cause_of_the_last_pause() -> None:
    run_stats = story_of_a_run()
    run_stats.trouble = "server unavailable (spot.example: connection refused)"

    words = Reader(render(run_stats)).words

    assert "10 s in all; last cause: server unavailable (spot.example: connection refused)." in words


def test_no_row_key_or_word_of_the_server_is_on_the_page() -> None:
    text = render(story_of_a_run())

    assert not [word for word in ("SPOT3", "SPOT9", "777111", "777,111", "Quisling") if word in text]


@pytest.mark.parametrize("where", ["reason", "setting", "name", "stopped"])
def test_hostile_words_stay_words(where: str) -> None:
    run_stats = RunStory({"a": HOSTILE} if where == "setting" else {HOSTILE: 1} if where == "name" else {}, 0.0)
    if where == "reason":
        error = OutcomeUnknownError(HOSTILE, reason=HOSTILE)
        run_stats.add(Outcome(index=0, key=None, state="unknown", error=error), 0.0)
    run_stats.finish(1.0, HOSTILE if where == "stopped" else None)

    text = render(run_stats)
    reader = Reader(text)

    assert [tag for tag, _ in reader.tags].count("script") == 0
    assert "img" not in [tag for tag, _ in reader.tags]
    assert HOSTILE.replace("\ud800", "?") in reader.words
    text.encode()


def test_nothing_on_the_page_loads_anything() -> None:
    reader = Reader(render(story_of_a_run()))

    loading = {"src", "href", "srcset", "data", "action", "poster", "background"}
    found = [value for _, attributes in reader.tags for name, value in attributes.items() if name in loading]
    assert found == ["data:,"]
    policy = next(a["content"] for _, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert not re.search(r"unsafe|http|\*", policy)
    assert "script" not in [tag for tag, _ in reader.tags]
    assert not [about for _, about in reader.tags if "style" in about or any(name.startswith("on") for name in about)]
    css = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|https?:", css)


def test_the_page_is_built_for_those_who_do_not_see_it() -> None:
    tags = Reader(render(story_of_a_run())).tags

    assert ("html", {"lang": "en"}) in tags
    names = [tag for tag, _ in tags]
    assert names.count("h1") == 1
    assert names.count("table") == names.count("caption")
    assert names.count("figure") == names.count("figcaption") == names.count("desc") == 4
    assert all(about.get("scope") for tag, about in tags if tag == "th")
    assert all(about.get("aria-label") for _, about in tags if about.get("role") == "region")
    ids = [about["id"] for _, about in tags if "id" in about]
    assert len(ids) == len({*ids})
    pictures = [about for _, about in tags if about.get("role") == "img"]
    assert len(pictures) == 4
    assert all({about["aria-labelledby"], about["aria-describedby"]} < {*ids} for about in pictures)


def test_a_run_without_requests_says_so() -> None:
    run_stats = RunStory({}, 0.0)
    run_stats.add(Outcome(index=0, key=None, state="ok"), 0.0)
    run_stats.add(Outcome(index=1, key=None, state="superseded"), 0.0)
    run_stats.finish(0.0)

    assert 'id="chart-latency"' not in render(run_stats)
    assert "No request was timed." in Reader(render(run_stats)).words
    assert summary_of(run_stats) == "2 rows in 0 s (0 rows/s): 1 done, 1 superseded, none failed."


def test_rows_done_before_are_told_apart_from_rows_that_were_not_sent() -> None:
    run_stats = RunStory({}, 0.0)
    for error in (None, None, NotSentError("the run stopped", reason="stopped")):
        run_stats.add(Outcome(index=0, key=None, state="skipped", error=error), 0.0)
    run_stats.finish(0.0, None)

    assert "2 done before, 1 not sent, none failed" in summary_of(run_stats)
    text = render(run_stats)
    assert "skipped: done before" in text
    assert "skipped: not sent" in text
    parts = {about["class"]: about["fill"] for _, about in Reader(text).tags if "part " in (about.get("class") or "")}
    assert parts == {"part before": "url(#state-before)", "part skipped": "url(#state-skipped)"}
    assert ".ok, .before { --colour: var(--ok); }" in text
    assert "done before: 2 (66.67%)" in text
    assert "done before, rows per second" in text


@settings(max_examples=30)
@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    shown = Reader(element("p", escaped(text), title=text))

    assert shown.words == text.encode("utf-8", "replace").decode()
    assert [tag for tag, _ in shown.tags] == ["p"]


def test_an_element_is_written_with_its_attributes() -> None:
    assert (
        element("div", Html("<b>x</b>"), class_="a", aria_label='"', width=1 / 3, height=20)
        == '<div class="a" aria-label="&quot;" width="0.33" height="20"><b>x</b></div>'
    )


@pytest.mark.parametrize(
    ("seconds", "says"), [(0.0, "0 s"), (0.25, "0.25 s"), (45, "45 s"), (723, "12 min 3 s"), (10_800, "3 h 0 min")]
)
def test_a_duration_is_said_as_a_person_would(seconds: float, says: str) -> None:
    assert duration(seconds) == says


def test_an_axis_has_short_numbers() -> None:
    values = [0, 0.1 + 0.2, 0.5, 2000, 999_999, 1e6, 2.5e6, 3e13]

    assert [amount(value) for value in values] == ["0", "0.3", "0.5", "2,000", "999,999", "1 M", "2.5 M", "3e+13"]


def test_rates_and_latencies_have_three_digits() -> None:
    assert [rate(0, 0), rate(1, 3), rate(50_000, 4)] == ["0", "0.333", "12,500"]
    assert [latency(None), latency(0.01234), latency(1.234)] == ["n/a", "12.3 ms", "1.23 s"]


# --- Colours ----------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_and_lines_stand_out(scheme: int) -> None:
    css = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
    blocks = [block.partition("}")[0] for block in css.split(":root")[1:]]
    colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[scheme]))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(colours[one]), luminance(colours[other])))
        return (high + 0.05) / (low + 0.05)

    for text in ("ink", "quiet", "accent"):
        assert min(contrast(text, "card"), contrast(text, "paper")) >= 4.5
    for line in ("ok", "rejected", "failed", "unknown", "superseded", "skipped", "half", "slow", "pause"):
        assert contrast(line, "card") >= 3
    assert contrast("pause", "paused") >= 3


# --- The file ---------------------------------------------------------------------------------------------------------


def test_the_file_is_the_owners_alone_and_replaces_an_earlier_report(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    write_report(path, story_of_a_run())
    write_report(path, story=story_of_a_run(mark="second"))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "second" in path.read_text(encoding="utf-8")
    assert [*tmp_path.iterdir()] == [path]
    assert path.stat().st_size < 100_000


def test_a_page_that_can_not_be_written_whole_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.html"
    write_report(path, story_of_a_run())
    before = path.read_bytes()

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space"):
        write_report(path, story_of_a_run(mark="second"))
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def test_a_path_that_can_not_be_used_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("kit_id\n")
    (tmp_path / "link.html").symlink_to(tmp_path / "rows.csv")

    for path, fault in (
        (tmp_path, "is a folder"),
        (Path("/dev/null"), "is not a regular file"),
        (tmp_path / "none" / "run.html", "there is no such folder"),
        (tmp_path / "rows.csv", "is not an earlier report"),
        (tmp_path / "link.html", "is a symbolic link"),
        (tmp_path / ("x" * 300), "cannot be written: File name too long"),
    ):
        with pytest.raises(InvalidInputError, match=fault):
            check_path(path)
        with pytest.raises(InvalidInputError, match=fault):
            write_report(path, story_of_a_run())
    assert len([*tmp_path.iterdir()]) == 2


def test_a_folder_that_does_not_allow_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(InvalidInputError, match="its folder does not allow it"):
        check_path(tmp_path / "run.html")


@pytest.mark.parametrize("name", ["run.html", "a run\\of\ttoday.html", "l\u00e4uft.html"])
def test_a_file_that_is_mounted_by_itself_is_told_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, mounts = tmp_path / name, tmp_path / "mountinfo"
    path.touch()
    shown = str(path.resolve()).replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
    mounts.write_text(f"36 35 98:0 / / rw - ext4 /dev/root rw\n37 36 98:1 /run.html {shown} rw - ext4 /dev/vdb rw\n")
    monkeypatch.setattr(private_files, "_MOUNTS", mounts)

    with pytest.raises(InvalidInputError, match="is mounted by itself"):
        check_path(path)
    check_path(tmp_path / "another.html")
    monkeypatch.setattr(private_files, "_MOUNTS", tmp_path / "none")
    check_path(path)


def test_the_report_is_not_another_file_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").touch()

    check_path("empty.csv", others=["rows.csv", "failed.csv"])
    for others in (["empty.csv"], [tmp_path / "empty.csv"]):
        with pytest.raises(InvalidInputError, match="the run itself uses"):
            check_path("empty.csv", others=others)
    with pytest.raises(InvalidInputError, match="the run itself uses"):
        check_path("failed.csv", others=[tmp_path / "failed.csv"])


def test_only_the_message_of_an_error_is_shown() -> None:
    run_stats = RunStory({}, 0.0)
    error = BadRequestError("no", status=400, type="quisling", details=("Quisling",), operation="POST /quisling/")
    run_stats.add(Outcome(index=0, key=None, state="failed", error=error), 0.0)
    run_stats.finish(1.0)

    assert "quisling" not in render(run_stats).lower()


def test_rows_timed_without_their_requests_have_percentiles_and_no_chart() -> None:
    run_stats = RunStory({}, 0.0)
    run_stats.add(Outcome(index=0, key=None, state="ok", elapsed_s=0.5), 1.0)
    run_stats.finish(1.0)

    assert 'id="chart-latency"' not in render(run_stats)
    assert "longestn/a500 ms" in Reader(render(run_stats)).words
