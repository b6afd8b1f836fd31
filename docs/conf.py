"""How Sphinx builds the site: `make docs`, every warning an error."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import attrs
from sphinx.application import Sphinx
from sphinx.util import inspect as sphinx_inspect

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent / "extensions")]

from spotdx_async import SpotClient, __version__  # noqa: E402 - this folder's, not what may be installed
from spotdx_async.models.model import is_required  # noqa: E402 - as above
from spotdx_async.resources.noun import Noun  # noqa: E402 - as above

project = "spotdx_async"
author = "The spotdx_async authors"
copyright = author  # noqa: A001 - Sphinx's name for it
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "command_line"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"spotdx_async {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["style"]
html_css_files = ["wide.css"]
html_extra_path = ["llms.txt", "llms-full.txt"]  # for language models, at the root of the site

autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 100

# Every name of ours must be found. Those of Python and of other packages would need their sites, and so a network.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!spotdx_async).*"),
    (r"py:class", r"spotdx_async\..*\.(T|T_co|_T|_Ts|Annotated)"),  # variables of types, and a word of typing's
    (r"py:class", r"spotdx_async\.report\.(run_stats\.(Outages|Reasons)|series\..*)"),  # parts of a RunStory
    (r"py:class", r"spotdx_async\.testing\.(routes\.Call|list_lag\.ListedRow)"),  # what the fake's server works with
    (r"py:class", r"spotdx_async\.mirror\.mirror\.Pulled"),  # a client, as far as a pull uses it
    # What inputs are made of.
    (r"py:class", r"spotdx_async\.files\.(late_input\.LateInput|stored_file\.StoredFile|row_shape\.RowShape)"),
]

_NOT_A_COLON = "\ue000"
_MADE_BY_THE_SDK = {"spotdx_async.BulkRun", "spotdx_async.Pages"}
_LAST_WORDS = ("Source: ", "Assumed: ")


def hide_colon(_app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Keep napoleon from taking the words before the first colon of a field's docstring for its type."""
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = lines[0].replace(":", _NOT_A_COLON)


def show_colon(_app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Undo ``hide_colon``, and make a field list of a docstring's last words, where the facts come from."""
    done: list[str] = []
    for line in lines:
        if line.startswith(_LAST_WORDS):
            done += [] if done and done[-1].startswith(":") else [""]
            done.append(f":{line}")
        else:
            done.append(line.replace(_NOT_A_COLON, ":"))
    lines[:] = done


def make_signature(
    _app: Sphinx, what: str, name: str, made: Any, _options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write an attrs class as it is called; what attrs gives to Python speaks of its own inner parts.

    What only the SDK makes has no signature.
    """
    if signature is None:
        return None, returns
    if (name.startswith("spotdx_async.resources.") and what == "class") or name in _MADE_BY_THE_SDK:
        return "", None
    if what != "class" or not attrs.has(made):
        return signature, returns
    parameters = [
        inspect.Parameter(
            field.alias,
            inspect.Parameter.KEYWORD_ONLY if field.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=inspect.Parameter.empty if is_required(field) else _default(field.default),
        )
        for field in attrs.fields(made)
        if field.init and not field.name.startswith("_")
    ]
    return str(inspect.Signature(sorted(parameters, key=lambda parameter: parameter.kind))), returns


def _default(default: Any) -> Any:
    if default is attrs.NOTHING:
        return inspect.Parameter.empty
    return default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]  # it is a class


def is_coroutine_function(thing: Any, by_sphinx: Callable[[Any], bool] = sphinx_inspect.iscoroutinefunction) -> bool:
    """Whether calling it gives a coroutine.

    Calls that are prepared at once are plain functions with a mark, which Python's inspect sees from 3.12 on.
    """
    return hasattr(thing, "_is_coroutine") or by_sphinx(thing)


def attribute_of(owner: Any, name: str, *default: Any) -> Any:
    """Return an attribute of a class as Sphinx should show it: a noun is a property of clients."""
    found = inspect.getattr_static(owner, name, None)
    return property(found.make) if isinstance(found, Noun) else sphinx_inspect.safe_getattr(owner, name, *default)


def setup(app: Sphinx) -> None:
    """Go before and after napoleon, and after what autodoc finds by itself."""
    sphinx_inspect.iscoroutinefunction = is_coroutine_function  # type: ignore[assignment]  # it has a default too
    # Sphinx resolves the names in a function's annotations, and not in those of a class's __init__.
    inspect.unwrap(SpotClient.__init__).__annotations__ |= get_type_hints(SpotClient.__init__)
    app.add_autodoc_attrgetter(type, attribute_of)
    app.connect("autodoc-process-signature", make_signature)
    app.connect("autodoc-process-docstring", hide_colon, priority=400)
    app.connect("autodoc-process-docstring", show_colon, priority=600)
