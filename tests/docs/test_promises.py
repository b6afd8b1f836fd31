"""Every promise of ``docs/promises.md`` names the tests that hold it, and they exist."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "promises.md").read_text(encoding="utf-8")
PROMISED = PAGE.partition("## What is not promised")[0]
HELD_BY = re.compile(r"<!-- held by (.+?) -->", re.DOTALL)
PROMISES = re.split(r"^- ", PROMISED, flags=re.MULTILINE)[1:]


def holders_of(promise: str) -> list[str]:
    return [name.strip() for names in HELD_BY.findall(promise) for name in re.split(r"[,\s]+", names)]


@pytest.mark.parametrize("promise", PROMISES, ids=[item.split("\n")[0][:50] for item in PROMISES])
def test_every_promise_is_held_by_tests_that_exist(promise: str) -> None:
    held_by = holders_of(promise)

    assert held_by
    for name in held_by:
        path, _, test = name.partition("::")
        file = ROOT / path
        assert file.exists(), name
        if test:
            assert test in functions_of(file), name


def functions_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
