"""The rules of the package, held by reading the source: who imports whom and which packages, sizes, docstrings.

Imports count wherever they stand: at the top, in a function, and under TYPE_CHECKING.
"""

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import spotdx_async

FACADE = "spotdx_async"
FOLDER = Path(spotdx_async.__file__).parent

SECTION = re.compile(r"^(?:Args|Attributes|Raises):\n((?: .*\n?|\n)+)", re.MULTILINE)
NAMED = re.compile(r" {4}\*{0,2}[\w.]+(, \*{0,2}\w+)*: ")

# Lowest first. A module may import those of lower rows and of its own group; two groups of one row never one another.
# A name with ".*" is one group, the folder's own __init__ in it, unless a longer name or the bare one is listed too.
ROWS = (
    (
        "_http",
        "_codec",
        "_requests",
        "_observe",
        "_lazy",
        "resources.noun",
    ),  # the folders' own modules: a docstring each
    ("clue", "failure_cause"),
    (
        *("errors", "_version", "_codec.scalars", "_codec.plain_json", "_http.waiters", "testing.*", "own_loop"),
        *("private_files", "file_locks"),
    ),
    ("hosts",),
    (*("models.*", "config", "_codec.json", "_http.clock", "_observe.scrub"),),
    ("_requests.identity", "_requests.arguments", "_http.links", "network", "_codec.encoding"),
    (
        *("_http.messages", "_codec.structuring", "_http.rate_control", "_http.logs"),
        "observers",
    ),
    (
        *("_codec.compiled", "_requests.validation", "_observe.dispatch"),
        "_http.sessions",
    ),
    (
        *("_requests.client_reference", "limits.block_limiter"),
        *("_http.fast_request", "_http.failures"),
    ),
    ("_http.bodies", "_http.file_body"),
    (
        *("_http.rate_limiter", "_http.auth", "_http.transport", "_http.verdict"),
        *("_http.retry", "_codec.codec", "limits.*"),
    ),
    ("_http.answer_check", "_http.call", "_http.downloads", "_requests.answers", "shared.*"),
    ("_http.client_state", "_requests.operation", "_requests.list_scan"),  # the first holds the runner's stages
    (
        *("_http.runner", "bulk.*", "files.*", "tables.*", "_requests.filters", "_requests.activations"),
        "_requests.object_search",
    ),
    ("report.*", "bulk.jobs", "fhir.*", "pagination", "reconciliation", "otel.*"),
    ("bulk.listed", "bulk.list_reading"),
    ("bulk.controls",),
    ("bulk.updates", "bulk.reads", "bulk.list_look", "bulk.kit_look"),
    ("bulk.creates", "changes.*"),
    ("mirror.*",),
    ("resources.lazy",),
    ("resources.*",),
    ("resources",),  # a facade
    ("client",),
    ("distributed.*",),
    (FACADE,),
    ("testing.fake_spot", "testing.factories.*"),  # make clients of the fake, and models
    ("testing",),  # a facade too
    ("cli.*", "__main__", "testing.plugin"),
)
EACH_ITS_OWN_GROUP = {"resources.*"}
FOLDERS = {name.partition(".")[0] for names in ROWS for name in names if "." in name}

# What a module may import beside its own group, where that is less than all lower rows.
NARROWER = {
    "models.*": ("_lazy",),
    "resources.noun": (),
    "resources": ("resources.*", "_lazy"),
    "config": ("errors", "hosts"),
    "network": ("config", "errors", "hosts"),
    "_codec.json": ("_codec.plain_json",),
    "_codec.plain_json": (),
    "_codec.encoding": ("errors", "_codec.json"),
    "_requests.identity": ("_codec.json",),
    "_requests.arguments": ("errors",),
    "_http.links": ("errors", "hosts"),
    "_http.clock": ("errors",),
    "_http.waiters": (),
    "_http.sessions": ("_http.clock", "_http.messages"),
    "_http.fast_request": ("_http.sessions",),
    "_http.failures": ("errors", "network", "_http.sessions", "_http.messages"),
    "_http.bodies": ("_http.failures", "_http.messages", "_http.sessions"),
    "_http.file_body": ("_http.failures",),
    "_http.downloads": (
        *("errors", "private_files", "_http.links", "_http.messages", "_http.verdict"),
        "_http.file_body",
    ),
    "_http.rate_control": ("config",),
    "_codec.structuring": ("_codec.scalars", "models.*"),
    "_codec.compiled": (
        "_codec.json",
        "_codec.structuring",
        "_codec.scalars",
        "models.*",
    ),
    "_http.logs": ("errors",),
    "observers": (),
    "limits.block_limiter": ("errors", "_http.clock", "_http.waiters"),
    "_observe.dispatch": ("errors", "_http.clock", "_http.messages", "observers"),
    "otel.*": ("observers", "_version"),
    "_requests.validation": (
        *(
            "errors",
            "models.*",
            "_http.clock",
            "_codec.json",
            "_codec.encoding",
            "_observe.scrub",
            "_requests.arguments",
        ),
    ),
    "_observe.scrub": ("errors",),
    "_requests.client_reference": ("_requests.arguments", "_requests.identity"),
    "_http.answer_check": (
        *("errors", "models.*", "_codec.json", "_codec.codec", "_requests.identity"),
        *("_http.messages", "_http.verdict"),
    ),
    "_requests.answers": ("errors", "_codec.codec", "_http.clock", "_http.messages"),
    "_requests.list_scan": ("errors", "_codec.codec", "_requests.answers"),
    "_requests.object_search": ("errors", "_requests.answers", "_requests.list_scan"),
    "pagination": ("errors", "_codec.codec", "_http.clock", "_http.runner", "_requests.*"),
    "reconciliation": (
        *("errors", "_requests.arguments", "_http.clock", "_http.retry"),
        *("_requests.object_search", "_requests.answers"),
    ),
    "files.*": ("errors", "_codec.json", "_codec.plain_json", "_http.clock", "_lazy", "private_files"),
    "tables.*": ("errors", "models.*", "_codec.json", "_lazy"),  # pure
    "fhir.*": ("errors", "config", "models.*", "tables.*", "_lazy"),  # pure too
    "bulk.*": (
        *("errors", "config", "_codec.json", "_http.clock", "_http.messages"),
        *("_requests.operation", "_http.retry", "_http.logs", "_observe.dispatch"),  # no HTTP
        *("_http.waiters", "file_locks", "private_files", "models.*", "_codec.encoding"),
    ),
    "report.*": ("bulk.records", "errors", "models.*", "_lazy", "_version", "private_files"),
    "limits.*": ("errors", "config", "_http.clock", "_http.rate_control", "limits.block_limiter"),
    "shared.*": ("limits.*",),
    "testing.*": (),  # a fake that shared our code would agree with our mistakes
    "testing.fake_spot": (FACADE, "testing.*"),
    "testing.factories.*": ("models.*",),
    "testing": ("testing.*", "testing.fake_spot", "testing.factories.*"),
    "testing.plugin": (FACADE, "testing.*", "testing.fake_spot"),
    "own_loop": (),
    "private_files": (),
    "file_locks": (),
    "distributed.*": (
        *("client", "bulk.*", "files.*", "config", "errors", "_http.clock", "_codec.json", "own_loop"),
        *("limits.block_limiter", "private_files", "_http.rate_limiter", "_requests.operation", "network"),
        *("_codec.encoding", "_lazy", "_observe.scrub"),
    ),
    "cli.*": (  # the public face
        *(FACADE, "errors", "config", "hosts", "models.*", "files.*", "mirror.*", "report.*", "testing.*"),
        *("bulk.records", "bulk.stats", "distributed.*", "network", "own_loop", "private_files"),
    ),
    "__main__": ("cli.*",),
}

# Every third-party package, and what of the standard library is not for all, with those who may use it.
ONLY_IMPORTERS = {
    "attr": (),  # the old name of attrs
    "attrs": ("*",),
    "aiohttp": (
        "_http.sessions",
        "_http.fast_request",
        "_http.failures",
        "_http.bodies",
        "_http.transport",
        "testing.server",
    ),
    "yarl": ("_http.links", "_http.transport", "_http.fast_request"),
    "tenacity": ("_http.retry",),
    "cattrs": ("_codec.codec",),
    "orjson": ("_codec.json",),
    "pyarrow": ("files.parquet_rows", "mirror.parquet"),
    "python_calamine": ("files.excel_rows",),
    "backports": ("files.unpacking",),
    "compression": ("files.unpacking",),
    "truststore": ("network",),
    "redis": ("limits.redis_source",),
    "uvloop": ("own_loop",),
    "distributed": ("distributed.clusters", "distributed.dask_engine", "distributed.dask_plugins"),
    "dask": ("distributed.dask_engine", "distributed.dask_plugins"),
    "opentelemetry": ("otel.*",),
    "cyclopts": ("cli.*",),
    "rich": ("cli.*",),
    "pytest": ("testing.plugin",),
    "pytest_asyncio": ("testing.plugin",),
    "sqlite3": ("bulk.journal.*", "distributed.partition", "mirror.database", "mirror.store"),
    "time": ("_http.clock", "testing.*", "cli.*"),
    "asyncio.sleep": ("testing.*", "cli.*"),  # the clock waits for an event with a bound, not for a sleep
    "datetime.datetime.now": ("_http.clock", "testing.*", "cli.*"),
    "datetime.datetime.today": (),
    "datetime.datetime.utcnow": (),
    "datetime.date.today": (),
    "random": ("bulk.circuit_breaker", "testing.*", "cli.*"),  # jitter; the retries' own comes from tenacity
    "importlib.import_module": ("_lazy", "testing"),  # for the lazy facades: elsewhere an import must be one that shows
    "__import__": (),
    "unittest": (),
}

LAZY = (
    *("spotdx_async", "changes", "distributed", "fhir", "files", "mirror", "models", "report", "resources"),
    *("resources.lazy", "tables", "testing"),
)
# What users import from. Elsewhere a name without an underscore is for other modules of the package: nothing lists it.
PUBLIC = (
    *(FACADE, "client", "config", "errors", "models", "observers", "otel", "pagination", "reconciliation"),
    *("bulk.options", "changes", "distributed", "fhir", "files", "mirror", "report", "resources.*", "shared"),
    "tables",
    *("testing", "testing.answers", "testing.factories", "testing.faults"),
)
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 50


@dataclass(frozen=True)
class Module:
    """A module's name within the package (the package itself: ``spotdx_async``) and its text."""

    name: str
    text: str
    is_folder: bool = False

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


@dataclass(frozen=True)
class Use:
    """A dotted name that a module imports, or reaches by an import of its own."""

    target: str
    line: int
    is_ours: bool
    is_for_types: bool = False


@cache
def package_modules() -> dict[str, Module]:
    modules = {}
    for path in sorted(FOLDER.rglob("*.py")):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        is_folder = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_folder else parts) or FACADE
        modules[name] = Module(name, path.read_text(encoding="utf-8"), is_folder)
    return modules


def is_in(entry: str, module: str) -> bool:
    folder = entry.removesuffix(".*")
    return entry in {"*", module} or (folder != entry and (module == folder or module.startswith(f"{folder}.")))


def place_of(module: str) -> tuple[int, str]:
    """Give a module's row and its group; the longest name that fits decides, and the bare one before a folder's."""
    fits = [(name == module, len(name), row, name) for row, names in enumerate(ROWS) for name in names]
    found = max((fit for fit in fits if is_in(fit[3], module)), default=None)
    assert found is not None, f"{module} stands in no row: give it a place in ROWS"
    return found[2], module if found[3] in EACH_ITS_OWN_GROUP else found[3]


def entry_of(module: str) -> str:
    row, group = place_of(module)
    return group if group in ROWS[row] else next(name for name in ROWS[row] if is_in(name, module))


def uses_of(module: Module) -> Iterator[Use]:
    """Give all that the module imports, then what it reaches by dots from there."""
    tree = module.tree
    for_types = {id(node) for block in ast.walk(tree) if is_type_checking(block) for node in ast.walk(block)}
    locals_: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for dotted, alias in imported(module, node):
                locals_[alias.asname or alias.name.partition(".")[0]] = (
                    dotted if alias.asname or isinstance(node, ast.ImportFrom) else dotted.partition(".")[0]
                )
                yield use(dotted, node.lineno, is_for_types=id(node) in for_types)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner and (reached := dotted_name(node, locals_)):
            yield use(reached, node.lineno, is_for_types=False)
        elif isinstance(node, ast.Name) and node.id == "__import__":
            yield use("__import__", node.lineno, is_for_types=False)


def use(dotted: str, line: int, *, is_for_types: bool) -> Use:
    first, _, rest = dotted.partition(".")
    if first != FACADE:
        return Use(dotted, line, is_ours=False, is_for_types=is_for_types)
    parts = rest.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    # What is no module is a name in one; what is in no folder either is a name of the facade.
    target = next((name for name in names if name in package_modules()), rest if parts[0] in FOLDERS else FACADE)
    return Use(target, line, is_ours=True, is_for_types=is_for_types)


def is_private_folder(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def imported(module: Module, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, ast.alias]]:
    source = ""
    if isinstance(node, ast.ImportFrom):
        source = f"{node.module}." if node.module else ""
        if node.level:
            within = FACADE if module.name == FACADE else f"{FACADE}.{module.name}"
            up = node.level - module.is_folder
            source = ".".join(within.split(".")[: -up or None]) + f".{source}"
    for alias in node.names:
        yield source + alias.name, alias


def dotted_name(node: ast.expr, locals_: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return locals_.get(node.id)
    if isinstance(node, ast.Attribute) and (before := dotted_name(node.value, locals_)):
        return f"{before}.{node.attr}"
    return None


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


# --- The rules: each gives the offender, the place and what it broke --------------------------------------------------


def wrong_imports(module: Module) -> Iterator[str]:
    row, group = place_of(module.name)
    entry = entry_of(module.name)
    for one in uses_of(module):
        if not one.is_ours or place_of(one.target) == (row, group):
            continue
        where = f"{module.name}:{one.line} imports {one.target}"
        if entry in NARROWER:
            if not any(is_in(name, one.target) for name in NARROWER[entry]):
                yield f"{where}: {entry} may import {', '.join(NARROWER[entry]) or 'nothing'} beside its own group"
        elif place_of(one.target)[0] >= row:
            yield f"{where}: imports go downwards, never up or to another group of the same row"


def wrong_packages(module: Module) -> Iterator[str]:
    for one in uses_of(module):
        package = one.target.partition(".")[0]
        if one.is_ours:
            continue
        for target, importers in ONLY_IMPORTERS.items():
            if is_in(f"{target}.*", one.target) and not any(is_in(importer, module.name) for importer in importers):
                yield f"{module.name}:{one.line} uses {one.target}: {target} is for {', '.join(importers) or 'nobody'}"
        if package not in sys.stdlib_module_names | ONLY_IMPORTERS.keys():
            yield f"{module.name}:{one.line} imports {one.target}: a package that ONLY_IMPORTERS does not list"


def strangers_names(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(FACADE)):
            for dotted, alias in imported(module, node):
                if is_private_folder(alias.name) and dotted.partition(".")[2] not in package_modules():
                    yield f"{module.name}:{node.lineno} imports {alias.name}: a private name stays in its module"


def wrong_forms(module: Module) -> Iterator[str]:
    tree = module.tree
    if not ast.get_docstring(tree):
        yield f"{module.name} has no docstring"
    names, listed = bindings(tree.body), listed_names(tree)
    if listed is None and names and any(is_in(public, module.name) for public in PUBLIC):
        yield f"{module.name} is public and has no __all__"
    for name in listed or ():
        if name not in names:
            yield f"{module.name}: __all__ names {name}, which it does not have"


def broken_sections(module: Module) -> Iterator[str]:
    """A line that goes on at the margin of the names is shown as one more argument, or error, called by its words."""
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for section in SECTION.findall(ast.get_docstring(node) or ""):
                for line in re.findall(r"^ {4}\S.*$", section, re.MULTILINE):
                    if not NAMED.match(line):
                        yield f"{module.name}:{node.lineno} {node.name}: indent what goes on from above: {line.strip()}"


def bindings(body: list[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        elif isinstance(node, (ast.If, ast.Try)):
            names |= bindings([*node.body, *node.orelse])
    return names


def listed_names(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def too_long(module: Module) -> Iterator[str]:
    if (lines := module.text.count("\n")) > MOST_LINES:
        yield f"{module.name} has {lines} lines: {MOST_LINES} are the most"
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            has_docstring = ast.get_docstring(node, clean=False) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
            if (lines := (node.end_lineno or 0) - node.lineno + 1 - docstring) > MOST_LINES_OF_A_FUNCTION:
                yield f"{module.name}:{node.lineno} {node.name} has {lines} lines: {MOST_LINES_OF_A_FUNCTION} at most"


RULES = (wrong_imports, wrong_packages, strangers_names, wrong_forms, broken_sections, too_long)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule: Callable[[Module], Iterator[str]]) -> None:
    assert [fault for module in package_modules().values() for fault in rule(module)] == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    graph = {
        module.name: {one.target for one in uses_of(module) if one.is_ours and not one.is_for_types} - {module.name}
        for module in package_modules().values()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_no_package_imports_its_own_modules_before_it_is_asked() -> None:
    """Of two threads that import for the first time, one has the package and wants its module, the other has the module
    and waits for the package: Python sees the deadlock, and one of them gets an error. A pickle names the module too.
    """
    packages = [module for module in package_modules().values() if module.is_folder and module.name != FACADE]

    assert [
        f"{package.name}:{one.line} imports {one.target}: make it lazy"
        for package in packages
        if package.name != "testing.factories"  # functions alone, and nobody else imports its modules
        for one in uses_of(package)
        if one.is_ours and is_in(f"{package.name}.*", one.target) and not one.is_for_types
    ] == []


def test_the_insides_of_aiohttp_are_touched_in_one_file() -> None:
    touching = re.compile(r"noqa: SLF001|getattr(_static)?\([^)]*\"_")

    assert [
        module.name
        for module in package_modules().values()
        if any(is_in("aiohttp.*", one.target) for one in uses_of(module)) and touching.search(module.text)
    ] == ["_http.fast_request"]


@pytest.mark.parametrize("name", LAZY)
def test_every_name_of_a_lazy_facade_can_be_had(name: str) -> None:
    module = importlib.import_module(name if name == FACADE else f"{FACADE}.{name}")

    assert [public for public in module.__all__ if not hasattr(module, public)] == []


@pytest.mark.parametrize("name", LAZY)
def test_no_name_of_a_lazy_facade_is_a_module_in_it(name: str) -> None:
    """Importing such a module would put it in the place of the name, or not, depending on what came first."""
    inside = "" if name == FACADE else f"{name}."
    module = importlib.import_module(f"{FACADE}.{inside}".rstrip("."))
    are_modules = {public for public in module.__all__ if f"{inside}{public}" in package_modules()}

    assert are_modules == ({"factories", "faults"} if name == "testing" else set())


@pytest.mark.parametrize("name", LAZY)
def test_a_lazy_facade_shows_checkers_and_freezers_all_its_names(name: str) -> None:
    module = package_modules()[name]
    shown = {
        alias.asname or alias.name
        for block in ast.walk(module.tree)
        if is_type_checking(block)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert shown == set(listed_names(module.tree) or ())
    # TYPE_CHECKING is a variable, so the byte code, in which freezers look, has these imports too.
    assert any(name.startswith(f"{FACADE}.") for name in compile(module.text, name, "exec").co_names)


# --- The rules find what is wrong -------------------------------------------------------------------------------------

PROXY = "from spotdx_async._http.runner import Runner"


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("errors", "from spotdx_async import config", "errors:1 imports config: imports go downwards"),
        ("config", "from spotdx_async.models import Kit", "config:1 imports models: config may import errors"),
        ("models.kits", "from ..errors import SpotError", "models.kits:1 imports errors: models.* may import _lazy"),
        ("models", "from .kits import Kit\nfrom .. import errors", "models:2 imports errors"),
        ("_http.auth", "from spotdx_async._http import retry", "_http.retry: imports go downwards"),
        ("_codec.codec", "import spotdx_async._http.verdict as v", "_http.verdict: imports go downwards"),
        ("_http.messages", "from spotdx_async._codec import structuring", "_codec.structuring: imports go downwards"),
        ("_http.retry", f"def later():\n    {PROXY}", "_http.retry:2 imports _http.runner"),
        ("_http.runner", "from spotdx_async.bulk.records import Outcome", "imports bulk.records"),
        ("_http.auth", f"if TYPE_CHECKING:\n    {PROXY}", "_http.auth:2 imports _http.runner"),
        ("_http.auth", "from spotdx_async import SpotError", "_http.auth:1 imports spotdx_async: imports go"),
        ("bulk.engine", "from spotdx_async.files import Row", "imports files: bulk.* may import errors, config"),
        ("bulk.engine", "from spotdx_async._http.transport import Transport", "imports _http.transport"),
        (
            "files.rows",
            "from spotdx_async.bulk.records import Outcome",
            "files.* may import errors, _codec.json",
        ),
        (
            "report.page",
            "import spotdx_async.bulk as b",
            "report.page:1 imports bulk: report.* may import bulk.records",
        ),
        ("report.page", "from spotdx_async.files import Row", "report.page:1 imports files"),
        (
            "otel",
            "from spotdx_async.errors import SpotError",
            "otel.* may import observers, _version",
        ),
        ("pagination", "import spotdx_async._http.transport", "pagination:1 imports _http.transport"),
        ("resources.orders", "from spotdx_async.resources.kits import Kits", "resources.kits: imports go downwards"),
        ("resources.kits", "from spotdx_async.client import SpotClient", "imports client: imports go downwards"),
        (
            "cli.kits",
            "from spotdx_async._codec import codec",
            "cli.kits:1 imports _codec.codec: cli.* may import",
        ),
        ("cli.kits", "from spotdx_async.client import SpotClient", "cli.kits:1 imports client"),
        ("cli.kits", "import spotdx_async\nx = spotdx_async._codec.codec", "cli.kits:2 imports _codec.codec"),
        ("testing.faults", "from spotdx_async.models import Kit", "testing.faults:1 imports models"),
        ("testing.faults", "from spotdx_async.testing import FakeSpot", "testing.faults:1 imports testing:"),
        ("testing.plugin", "from spotdx_async.client import SpotClient", "testing.plugin:1 imports client"),
        ("bulk.engine", "from spotdx_async import _secret", "bulk.engine:1 imports spotdx_async: bulk.* may"),
    ],
)
def test_an_import_that_goes_the_wrong_way_is_found(name: str, text: str, fault: str) -> None:
    (found,) = wrong_imports(Module(name, text, is_folder=name == "models"))

    assert fault in found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("models", "from .kits import Kit"),
        ("bulk.engine", "from spotdx_async.bulk.outcomes import Row\nfrom spotdx_async._http import clock"),
        ("report.page", "from spotdx_async.bulk.records import Outcome\nfrom .charts import bars"),
        ("cli.kits", "import spotdx_async\nfrom spotdx_async.testing import FakeSpot\nx = spotdx_async.dumps(1)"),
        ("testing.server", "from spotdx_async.testing import listing"),
    ],
)
def test_an_import_that_goes_the_right_way_is_let_be(name: str, text: str) -> None:
    assert list(wrong_imports(Module(name, text, is_folder=name == "models"))) == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        (
            "client",
            "import aiohttp",
            f"client:1 uses aiohttp: aiohttp is for {', '.join(ONLY_IMPORTERS['aiohttp'])}",
        ),
        ("config", "if TYPE_CHECKING:\n    from aiohttp import web", "config:2 uses aiohttp.web"),
        ("bulk.engine", "def later():\n    from tenacity import retry", "bulk.engine:2 uses tenacity.retry"),
        ("bulk.circuit_breaker", "import sqlite3", "sqlite3 is for bulk.journal.*"),
        ("client", "from opentelemetry import trace", "opentelemetry is for otel.*"),
        ("_http.auth", "import asyncio as a\nawait a.sleep(1)", "_http.auth:2 uses asyncio.sleep"),
        ("_http.auth", "from asyncio import sleep as nap", "_http.auth:1 uses asyncio.sleep"),
        ("_http.retry", "import random", "random is for bulk.circuit_breaker"),
        ("bulk.stats", "from time import monotonic", "bulk.stats:1 uses time.monotonic"),
        ("bulk.stats", "from datetime import datetime\ndatetime.now()", "bulk.stats:2 uses datetime.datetime.now"),
        ("testing.state", "from unittest.mock import Mock", "unittest is for nobody"),
        ("models.kits", "import attr", "attr is for nobody"),
        ("config", "import pydantic", "config:1 imports pydantic: a package that ONLY_IMPORTERS does not list"),
        ("config", "import importlib\nimportlib.import_module('x')", "config:2 uses importlib.import_module"),
        ("config", "__import__('aiohttp')", "__import__ is for nobody"),
    ],
)
def test_a_package_in_another_module_is_found(name: str, text: str, fault: str) -> None:
    (found,) = wrong_packages(Module(name, text))

    assert fault in found


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("config", "", "config has no docstring"),
        ("config", '"""A."""\nx = 1', "config is public and has no __all__"),
        ("config", '"""A."""\n__all__ = ["x", "y"]\nif x:\n    x = 1', "config: __all__ names y"),
    ],
)
def test_a_module_without_its_form_is_found(name: str, text: str, fault: str) -> None:
    (found,) = wrong_forms(Module(name, text))

    assert fault in found


def test_a_line_of_a_section_that_is_not_indented_is_found() -> None:
    text = '''"""A."""
def f():
    """Do it.

    Args:
        x: this, and
            that; a.b: no name.
        *args, **options: those.
        y: these, and
        those.

    Raises:
        OSError: it cannot.
    """
'''

    assert [*broken_sections(Module("config", text))] == ["config:2 f: indent what goes on from above: those."]


def test_a_private_name_away_from_home_is_found() -> None:
    text = "from spotdx_async._codec import codec\nfrom spotdx_async.config import _KEY, __doc__"

    assert [*strangers_names(Module("client", text))] == ["client:2 imports _KEY: a private name stays in its module"]


def test_what_is_too_long_is_found() -> None:
    body = "    x = 1\n" * 50
    text = f'def short():\n    """One.\n\n    Two.\n    """\n{body[10:]}def long():\n{body}' + "#\n" * 300

    assert [*too_long(Module("config", text))] == [
        "config has 405 lines: 400 are the most",
        "config:55 long has 51 lines: 50 at most",
    ]


def test_a_module_without_a_place_is_found() -> None:
    with pytest.raises(AssertionError, match="helpers stands in no row"):
        place_of("helpers")
