"""Writes the table of the results, and puts it between the marks of a page."""

from collections.abc import Iterator

from figures import Figure, read
from results_file import Results

BEGIN, END = "<!-- results -->\n", "<!-- end -->"


def with_table(page: str, results: Results) -> str:
    """Put the results between the page's marks, and leave the rest as it is.

    Raises:
        ValueError: the page has no such marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no marks for the results")
    return before + begin + table(results) + end + after


def table(results: Results) -> str:
    """Write all figures as Markdown."""
    machine = results["machine"]
    dates = [one["date"] for one in results["benches"].values()]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    day = max(dates, default="no day yet")
    lines = [
        f"Measured on {day}: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, {packages}.",
        "",
        "| bench | what | measured | bar |",
        "|---|---|---|---|",
    ]
    for name, bench in results["benches"].items():
        link = f"[{name.removeprefix('bench_')}]({name}.py)"
        if bench["missing"]:
            lines.append(f"| {link} | | not measured: {bench['missing']} | |")
        cells = rows_of(read(bench["figures"]))
        lines += [f"| {'' if place else link} | {cell} |" for place, cell in enumerate(cells)]
    return "\n".join(lines) + "\n"


def rows_of(figures: list[Figure]) -> Iterator[str]:
    """Write the cells of each figure."""
    for one in figures:
        what = one.name.replace("|", "\\|")
        if one.value is None:
            yield f"{what} | not measured: {one.note} | {bar_of(one)}"
        else:
            yield f"{what}{f' ({one.note})' if one.note else ''} | {measured(one)} | {bar_of(one)}"


def measured(one: Figure) -> str:
    """Write a median with its quartiles, where there are any."""
    assert one.value is not None
    unit = f" {one.unit}" if one.unit else ""
    text = number(one.value) + unit
    if one.low is None or one.high is None or one.low == one.high:
        return text
    return f"{text} ({number(one.low)} to {number(one.high)})"


def number(value: float) -> str:
    """Write a number with about three digits."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def bar_of(one: Figure) -> str:
    """Write the bar, and whether it is kept."""
    if one.bar is None:
        return ""
    kept = {True: ": kept", False: ": missed", None: ""}[one.is_kept]
    return f"{one.direction} {one.bar:,g}{kept}"
