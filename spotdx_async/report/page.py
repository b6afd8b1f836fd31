"""A finished run as one page of HTML that needs nothing beside itself: no network, no other file."""

import base64
import hashlib
import json
from importlib import resources

from spotdx_async.report.charts import library_script
from spotdx_async.report.figures import Figure
from spotdx_async.report.markup import Html, element, escaped
from spotdx_async.report.run_stats import RunStory
from spotdx_async.report.sections import all_sections, figures_of, summary_of

__all__ = ["PAGE_START", "render"]

PAGE_START = (
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="generator" content="spotdx_async">\n'
)
"""How every page begins."""

_TITLE = "Bulk run report"


def render(run_stats: RunStory) -> str:
    """Give the page of a run that has finished; about 4.8 MB, nearly all of it the chart library.

    Raises:
        ConfigError: the chart library is missing.
    """
    library, script = _as_script(library_script()), _as_script(_own_file("page.js"))
    return "\n".join(
        (
            PAGE_START + _policy(library, script),
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            element("title", escaped(_TITLE)),
            element("style", Html(_own_file("page.css"))),
            element("main", *_body(run_stats)),
            element("script", _as_data(figures_of(run_stats)), type="application/json", id="figures"),
            element("script", library),
            element("script", script),
            "</html>\n",
        )
    )


def _body(run_stats: RunStory) -> list[Html]:
    body = [element("h1", escaped(_TITLE)), element("p", escaped(summary_of(run_stats)), class_="sum")]
    if run_stats.stopped is not None:
        body.append(element("p", escaped(f"The run stopped early: {run_stats.stopped}"), class_="stopped"))
    no_script = "The charts need JavaScript; all that they show is in the tables too."
    body.append(element("noscript", element("p", escaped(no_script))))
    return body + all_sections(run_stats)


def _policy(*scripts: Html) -> str:
    # By their hashes only our two scripts run: even a text that escaped its escaping could do nothing. Styles must be
    # allowed as they come, since the chart library sets them on each element that it draws.
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    rules = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}; form-action \'none\'">'


def _digest(script: Html) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _as_script(text: str) -> Html:
    """Keep a script from ending its element early, and its line ends as a browser reads (and hashes) them."""
    one_kind_of_end = text.replace("\r\n", "\n").replace("\r", "\n")
    return Html(one_kind_of_end.replace("</script", "<\\/script").replace("<!--", "<\\!--"))


def _as_data(figures: dict[str, Figure]) -> Html:
    return Html(json.dumps(figures, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def _own_file(name: str) -> str:
    return (resources.files("spotdx_async.report") / name).read_text(encoding="utf-8")
