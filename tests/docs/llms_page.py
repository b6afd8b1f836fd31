"""Prints docs/llms-full.txt, the reference on one page that fits a model's context: ``python -m tests.docs.llms_page``.

It is made of the signatures and docstrings of the package, the README's example and the promises. With ``--write`` it
writes that page and docs/llms.txt, the list of all pages.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, TypeVar

import spotdx_async
from spotdx_async import SpotClient, errors, testing
from spotdx_async.bulk.options import CreateOptions, ReadOptions, UpdateOptions
from spotdx_async.bulk.records import MEANINGS
from spotdx_async.mirror import Mirror
from spotdx_async.models import Model
from spotdx_async.resources.kits import KitFilters, Kits
from spotdx_async.resources.orders import OrderFilters, Orders
from spotdx_async.resources.patients import Patients
from spotdx_async.resources.registration_tokens import RegistrationTokens
from spotdx_async.resources.reports import Reports
from spotdx_async.resources.requisitions import RequisitionFilters, Requisitions
from tests.docs.pages import DOCS, ROOT, blocks_of

LIST: Final = DOCS / "llms.txt"
PAGE: Final = DOCS / "llms-full.txt"
MOST_BYTES: Final = 45_000
"""About 12,000 tokens, so that the page leaves room for the work that it is read for."""

T = TypeVar("T")

_MADE = "Made by `make llms` from the package itself."
_NOUNS = {
    "kits": (Kits, KitFilters),
    "orders": (Orders, OrderFilters),
    "requisitions": (Requisitions, RequisitionFilters),
    "patients": (Patients,),
    "registration_tokens": (RegistrationTokens,),
    "reports": (Reports,),
}
_OPTIONS = (ReadOptions, UpdateOptions, CreateOptions)
_ALIKE = ("get", "get_many", "changes", "wait_until", "update_metadata_many")
"""What all nouns have, and what is told of kits."""
_ROWS_AND_RUNS = ("BulkRun", "Outcome", "Progress", "Journal", "InvalidRow")
_ROW_KINDS = ("MetadataUpdate", "OrderMetadataUpdate", "NewOrderRow", "NewRequisitionRow", "NewPatientRow")
_SETTINGS = ("RetryPolicy", "RateLimit", "AdaptiveRateLimit", "RateLimiter", "Limiter")
_ANSWERS = ("Response", "Pages", "Reconciliation", "Batch", "SavedFile")
_FUNCTIONS = ("loads", "dumps", "to_dict", "check_new", "read_journal")
_LINK, _TEXT = re.compile(r"\[([^\]]*)\]\([^)]*\)"), r"\1"
_DIRECTIVE = re.compile(r"\{py:\w+\}`~?([\w.]+)`")


def page() -> str:
    """Return the whole page."""
    parts = (
        ("", [_intro()]),
        ("What is promised", [_promises()]),
        (
            "SpotClient",
            [_signature(_node(SpotClient.__init__), "SpotClient"), _doc(SpotClient)],
        ),
        ("Methods of SpotClient", _methods(SpotClient, "spot")),
        ("Settings", [_class(getattr(spotdx_async, name)) for name in _SETTINGS]),
        *((f"spot.{noun}", [*_noun(noun, *kinds)]) for noun, kinds in _NOUNS.items()),
        ("Options of bulk runs", [_class(kind) for kind in _OPTIONS]),
        ("Rows", [_class(getattr(spotdx_async, name)) for name in (*_ROW_KINDS, "KitActivation")]),
        ("Runs, outcomes, journals", [*_states(), *(_class(getattr(spotdx_async, name)) for name in _ROWS_AND_RUNS)]),
        ("What calls return beside models", [_class(getattr(spotdx_async, name)) for name in _ANSWERS]),
        ("Functions", [_function(getattr(spotdx_async, name)) for name in _FUNCTIONS]),
        ("Errors", [_class(kind) for kind in _kinds_of(errors.SpotError)]),
        ("Models", [_MODELS, *map(_model, _kinds_of(Model)), *map(_enumeration, _kinds_of(StrEnum))]),
        ("Mirror, tests", [_class(kind) for kind in (Mirror, testing.FakeSpot)]),
    )
    text = "\n\n".join(f"## {title}\n\n" * bool(title) + "\n".join(filter(None, lines)) for title, lines in parts)
    others = [name for name in spotdx_async.__all__ if re.search(rf"\b{name}\b", text) is None]
    return f"{text}\n\n## Also public\n\n{', '.join(others)}; and the modules of the reference.\n"


_MODELS = (
    "Frozen attrs classes, in `spotdx_async`; build them with keywords. Any field of an answer may be None, and a "
    "list is a tuple; times are aware and in UTC. `extra` has the fields that the SDK does not know. Fields with `*` "
    "must be given to what you send."
)


def _intro() -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = next(block.text for block in blocks_of(ROOT / "README.md") if block.language == "python")
    about = readme.split("\n\n")[1].replace("\n", " ")
    return f"# spotdx_async {spotdx_async.__version__}\n\n> {about}\n\n{_MADE}\n\n```python\n{example}```"


def _promises() -> str:
    """Return the first sentence of each promise."""
    promises, _, limits = (DOCS / "promises.md").read_text(encoding="utf-8").partition("## What is not promised")
    return f"{_items(promises)}\n\nNot promised:\n\n{_items(limits)}"


def _items(text: str) -> str:
    return "\n".join(map(_item, re.split(r"^- ", text, flags=re.MULTILINE)[1:]))


def _item(text: str) -> str:
    whole = " ".join(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).split("\n## ")[0].split())
    return f"- {_first_sentence(_LINK.sub(_TEXT, whole))}".replace("**", "")


def _states() -> Iterator[str]:
    yield "The states of an outcome:"
    yield from (f"- `{state}`: {meaning}" for state, meaning in MEANINGS.items())


def _noun(noun: str, kind: type, *filters: type) -> Iterator[str]:
    for method in _methods(kind, f"spot.{noun}"):
        is_known = noun != "kits" and re.match(rf"(await )?spot\.{noun}\.({'|'.join(_ALIKE)})\(", method)
        yield method.split("\n")[0] if is_known else method
    for each in filters:
        yield _class(each)


def _methods(kind: type, owner: str) -> list[str]:
    return [_function(value, f"{owner}.{name}") for name, value in vars(kind).items() if _is_method(name, value)]


def _is_method(name: str, value: object) -> bool:
    return not name.startswith("_") and inspect.isfunction(value)


def _function(function: Any, name: str | None = None) -> str:
    node = _node(function)
    return f"{_signature(node, name or node.name)}\n{_indented(_summary(node))}"


def _class(kind: type) -> str:
    """Return a class with its fields, properties and methods, each in a line with the first sentence about it."""
    node = _node(kind)
    ours = (base.__name__ for base in kind.__bases__ if base.__module__.startswith("spotdx_async"))
    bases = ", ".join(name for name in ours if not name.startswith("_"))
    lines = [f"class {kind.__name__}" + (f"({bases})" if bases else ""), _indented(_summary(node))]
    for at, part in enumerate(node.body):
        if isinstance(part, ast.AnnAssign) and not _name(part).startswith("_") and "ClassVar" not in ast.dump(part):
            told = _told(_string(node.body[at + 1] if at + 1 < len(node.body) else None))
            # An error's docstring says what its attributes are; what is as elsewhere is there.
            if not told.startswith("  # As that") and (told or not issubclass(kind, Exception)):
                lines.append(f"  {_field(part)}{told}")
        elif isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)) and not part.name.startswith("_"):
            is_property = any("property" in ast.unparse(mark) for mark in part.decorator_list)
            shown = f"{part.name}: {_returns(part)}" if is_property else _signature(part, part.name)
            lines.append(f"  {shown}{_told(ast.get_docstring(part) or '')}")
    lines += (f"  {line}" for line in _attributes(ast.get_docstring(node) or ""))
    return "\n".join(lines)


def _model(kind: type) -> str:
    """Return a model with the types of its fields alone: their names are the vendor's."""
    node = _node(kind)
    fields = [_field(part) for part in node.body if isinstance(part, ast.AnnAssign) and not _name(part).startswith("_")]
    return f"{kind.__name__}({', '.join(fields)})".replace(" | None", "")


def _enumeration(kind: type[StrEnum]) -> str:
    return f"{kind.__name__}: {', '.join(kind)}"


def _kinds_of(root: type[T]) -> list[type[T]]:
    found = [value for name in spotdx_async.__all__ if inspect.isclass(value := getattr(spotdx_async, name))]
    kinds = {kind for kind in found if issubclass(kind, root) and kind is not Model}
    return sorted(kinds, key=lambda kind: (len(kind.__mro__) if issubclass(kind, Exception) else 0, kind.__name__))


def _node(thing: Any) -> Any:
    source = inspect.getsource(inspect.unwrap(thing) if inspect.isfunction(thing) else thing)
    return _Named().visit(ast.parse(textwrap.dedent(source)).body[0])


class _Named(ast.NodeTransformer):
    """Shows what an annotation in quotes names, without the modules that import it on first use."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        every = (*node.args.args, *node.args.kwonlyargs, node.args.kwarg, node.args.vararg)
        for one in filter(None, every):
            one.annotation = self._opened(one.annotation)
        node.returns = self._opened(node.returns)
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in {"lazy", "resources"}:
            return ast.Name(node.attr)
        return self.generic_visit(node)

    def _opened(self, annotation: ast.expr | None) -> ast.expr | None:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            return ast.parse(annotation.value, mode="eval").body
        return annotation


def _signature(node: Any, name: str) -> str:
    arguments = node.args
    for group in (arguments.posonlyargs, arguments.args):
        if group and group[0].arg in {"self", "cls"}:
            group.pop(0)
    returns = _returns(node)
    waits = returns.startswith("Prepared[") or isinstance(node, ast.AsyncFunctionDef)
    returns = returns.removeprefix("Prepared[").removesuffix("]") if returns.startswith("Prepared[") else returns
    shown = "" if returns in {"", "None"} else f" -> {returns}"
    whole = f"{'await ' * waits}{name}({ast.unparse(arguments)}){shown}"
    return whole.replace("builtins.", "").replace("_TEN_MIB", "10485760")


def _returns(node: Any) -> str:
    return "" if node.returns is None else ast.unparse(node.returns).strip("'\"")


def _field(node: ast.AnnAssign) -> str:
    value = "" if node.value is None else ast.unparse(node.value)
    mark = "*" if "REQUIRED" in value else ""
    default = re.fullmatch(r"(?:attrs\.)?(?:field\(.*?default=)?([\w.'\-]+|\(\))(?:,.*)?\)?", value)
    shown = f" = {default[1]}" if default and default[1] not in {"None", "()"} else ""
    return f"{_name(node)}{mark}: {ast.unparse(node.annotation)}{shown}"


def _name(node: ast.AnnAssign) -> str:
    return ast.unparse(node.target)


def _string(node: ast.stmt | None) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return str(node.value.value) if is_text else ""  # type: ignore[union-attr]  # asked above


def _told(text: str) -> str:
    return f"  # {_first_sentence(_plain(text))}" if text else ""


def _summary(node: Any) -> str:
    """Return the first paragraph of a docstring."""
    return _plain((ast.get_docstring(node) or "").split("\n\n")[0])


def _doc(thing: Any) -> str:
    """Return a docstring's sections, each item in a line."""
    return "\n".join(_attributes(inspect.getdoc(thing) or "", "Args"))


def _attributes(text: str, section: str = "Attributes") -> list[str]:
    found = re.search(rf"^{section}:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    items = re.split(r"^ {4}(?=\S)", found[1], flags=re.MULTILINE)[1:] if found else []
    return [_first_sentence(_plain(item), after=_plain(item).find(": ") + 2) for item in items]


def _indented(text: str) -> str:
    return f"  {text}" if text else ""


def _plain(text: str) -> str:
    return _DIRECTIVE.sub(_TEXT, " ".join(text.split())).replace("``", "`")


def _first_sentence(text: str, after: int = 0) -> str:
    return text[:after] + re.split(r"(?<=\.)(?:\*\*)? (?=[A-Z`*])", text[after:])[0]


def pages() -> str:
    """Return the list of all pages, in the order of the site."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    shown = [f"# spotdx_async\n\n> {_intro().split('> ')[1].split(chr(10))[0]}\n\n{_MADE}\n"]
    shown.append("- [The whole reference on one page](llms-full.txt): signatures, errors and promises\n")
    for caption, names in re.findall(r":caption: (.+)\n\n((?:[\w/-]+\n)+)", index):
        shown.append(f"## {caption}\n")
        shown += (_link(name) for name in names.split())
        shown.append("")
    return "\n".join(shown).rstrip("\n") + "\n"


def _link(name: str) -> str:
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    title = re.search(r"^# (.+)", text, re.MULTILINE)
    paragraphs = (part for part in text.split("\n\n") if re.match(r"(?!```)[A-Z`*]", part))
    about = _first_sentence(_LINK.sub(_TEXT, _plain(next(paragraphs, ""))))
    return f"- [{title[1] if title else name.capitalize()}]({name}.md)" + (f": {about.rstrip(':')}" if about else "")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
        LIST.write_text(pages(), encoding="utf-8")
    else:
        sys.stdout.write(page())
