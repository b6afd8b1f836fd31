"""What is made of the benches' figures: the file, the table, the picture. No time is looked at."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import run_all
from bench_peers import told
from figures import RATE, TIMES, Figure, figure, leave, not_measured, read
from peer_clients import SAMPLE, NotMadeError, Workshop, readable_by_all
from results_chart import chart
from results_file import BenchResult, Machine, Results, cpu_model, merged
from results_page import table, with_table
from rounds import Spread

MACHINE: Machine = {"cpu": "A fast one", "cores": 2, "python": "3.11.7", "packages": {"aiohttp": "3.14.5"}}
NOT_MADE = "openapi-generator-cli could not be installed"


def result(*figures: Figure, missing: str = "") -> BenchResult:
    entries = [asdict(one) for one in figures]
    return {"date": "2026-11-26", "command": "python a.py", "missing": missing, "figures": entries}


def results(**benches: BenchResult) -> Results:
    return {"machine": MACHINE, "benches": benches}


def test_figures_come_back_as_they_were_left(tmp_path: Path) -> None:
    figures = [figure("a", Spread(1, 0.5, 2), "ms", at_most=3), not_measured("b", "not installed")]
    leave(figures, tmp_path / "figures.json")
    assert read(json.loads((tmp_path / "figures.json").read_text())) == figures


@pytest.mark.parametrize(
    ("one", "is_kept"),
    [
        (figure("a", 1.18, at_most=1.18), True),
        (figure("a", 1.19, at_most=1.18), False),
        (figure("a", 6, at_least=6), True),
        (figure("a", 5.9, at_least=6), False),
        (figure("a", 1, at_most=0), False),
        (figure("a", 1), None),
        (not_measured("a", "not installed"), None),
    ],
)
def test_a_bar_is_kept_up_to_its_edge(one: Figure, is_kept: bool | None) -> None:
    assert one.is_kept is is_kept


def test_new_results_take_the_place_of_old_ones_in_the_order_of_the_benches() -> None:
    old = results(bench_b=result(figure("old", 1)), bench_a=result(figure("a", 1)))
    found = merged(old, MACHINE, {"bench_b": result(figure("new", 2))}, ["bench_a", "bench_b", "bench_c"])
    assert [*found["benches"]] == ["bench_a", "bench_b"]
    assert [one["name"] for one in found["benches"]["bench_b"]["figures"]] == ["new"]


def test_results_of_another_machine_are_not_kept_beside_new_ones() -> None:
    other: Machine = {**MACHINE, "cpu": "A slow one"}
    found = merged(results(bench_a=result()), other, {"bench_b": result()}, ["bench_a", "bench_b"])
    assert [*found["benches"]] == ["bench_b"]


def test_writing_the_table_keeps_the_rest_of_the_page() -> None:
    page = "# Before\n<!-- results -->\nold\n<!-- end -->\n\nafter <!-- end --> too\n"
    written = with_table(page, results(bench_call=result(figure("typed / plain", 1.15, at_most=1.18))))
    assert written.startswith("# Before\n<!-- results -->\n")
    assert written.endswith("<!-- end -->\n\nafter <!-- end --> too\n")
    assert "old" not in written
    assert with_table(written, results()) == with_table(page, results())


@pytest.mark.parametrize("page", ["no marks", "<!-- results -->\nno end"])
def test_a_page_without_marks_is_not_written(page: str) -> None:
    with pytest.raises(ValueError, match="marks"):
        with_table(page, results())


def test_the_table_tells_each_figure_with_its_quartiles_and_whether_its_bar_is_kept() -> None:
    lines = table(
        results(
            bench_call=result(figure("ratio", Spread(1.2, 1.1, 1.312), at_most=1.18), figure("rate", 12345.6, "/s")),
            bench_rate=result(missing="valgrind is not installed"),
        )
    ).splitlines()
    assert "| [call](bench_call.py) | ratio | 1.20 (1.10 to 1.31) | at most 1.18: missed |" in lines
    assert "|  | rate | 12,346 /s |  |" in lines
    assert "| [rate](bench_rate.py) | | not measured: valgrind is not installed | |" in lines


def test_the_picture_is_valid_xml_and_its_bars_are_as_long_as_the_figures() -> None:
    figures = [
        figure(RATE.format(title="a <b> & c", concurrency=10), 1000),
        figure(TIMES.format(title="a <b> & c", concurrency=10), 3.96),
        figure(RATE.format(title="spotdx_async", concurrency=10), 4000),
        figure(RATE.format(title="spotdx_async", concurrency=100), 9000),
    ]
    drawn = ET.fromstring(chart(figures))  # noqa: S314 - our own
    name = "{http://www.w3.org/2000/svg}"
    ours, other = (float(one.attrib["width"]) for one in drawn.iter(f"{name}rect"))
    assert ours == pytest.approx(4 * other)
    words = [one.text for one in drawn.iter(f"{name}text")]
    assert "a <b> & c" in words
    assert "1,000 · ours carries 4.0 times as many" in words


def test_a_peer_that_could_not_be_made_has_a_row_that_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    costs = {"spotdx_async": [200.0, 200.0], "plain": [150.0, 150.0], "httpx": [1600.0, 1600.0]}
    figures = told(costs, {"httpx": None, "asyncio": NOT_MADE}, dict.fromkeys(costs, "aiohttp 3"), 10)
    assert NOT_MADE in capsys.readouterr().out
    assert f"not measured: {NOT_MADE}" in table(results(bench_peers=result(*figures)))
    drawn = chart(figures)
    assert f"not measured: {NOT_MADE}" in drawn
    assert drawn.count("<rect") == 3


def test_a_tool_that_fails_gives_a_reason_without_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Workshop(tmp_path, tmp_path / "openapi.json")
    with pytest.raises(NotMadeError, match=r"\Athe tool failed\Z"):
        shop.run(sys.executable, "-c", f"raise SystemExit('{tmp_path} is missing')", failing="the tool failed")
    assert "is missing" in capsys.readouterr().err


def test_the_answer_for_all_clients_differs_from_the_example_in_two_bounds_alone() -> None:
    kit = json.loads(SAMPLE.read_text())
    before, after = (each["sample"]["reports"][0]["results"] for each in (kit, readable_by_all(kit)))
    changed = [
        (name, value, new[name])
        for old, new in zip(before, after, strict=True)
        for name, value in old.items()
        if new[name] != value
    ]
    assert changed == [("range_minimum", 20, "20")] * 2
    assert {**readable_by_all(kit), "sample": None} == {**kit, "sample": None}


@pytest.mark.parametrize(
    ("complaint", "reason"),
    [
        ("a warning\nno OpenAPI document\n", "no OpenAPI document"),
        ("Traceback (most recent call last):\n  File /home/x\nKeyError: 'x'\n", "it failed"),
        ("python: can't open file '/home/x.py'\n", "it failed"),
        ("", "it failed"),
    ],
)
def test_a_bench_that_stops_is_quoted_and_one_that_crashes_is_not(complaint: str, reason: str) -> None:
    assert run_all.reason_of(complaint) == reason


def test_a_bench_whose_tool_is_missing_is_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_all.run(run_all.Bench("bench_nowhere", needs="no-such-program"), [], [])
    assert found["missing"] == "no-such-program is not installed"
    assert not found["figures"]
    assert "no-such-program is not installed" in capsys.readouterr().out


def test_the_processor_is_named_as_the_system_names_it(tmp_path: Path) -> None:
    told_by = tmp_path / "cpuinfo"
    told_by.write_text("processor\t: 0\nmodel name\t: A fast one @ 3 GHz\nmodel name\t: A fast one @ 3 GHz\n")
    assert cpu_model(told_by) == "A fast one @ 3 GHz"
