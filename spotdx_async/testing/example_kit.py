"""The documented example of a kit, and one like it under another id. Pure."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["EXAMPLE_KIT_ID", "example", "example_text"]

EXAMPLE_KIT_ID = "SPOT123456"


@cache
def example() -> Mapping[str, Any]:
    """Give the vendor's example answer as it is published, to read; its people and addresses are its inventions."""
    text = files(__package__).joinpath("kit_example.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def example_text(kit_id: str) -> str:
    """Give the example as JSON text under another id: without reading and writing it anew for each kit."""
    before, after = _halves()
    return before + json.dumps(kit_id, ensure_ascii=False) + after


@cache
def _halves() -> tuple[str, str]:
    before, _, after = json.dumps(example(), ensure_ascii=False).partition(json.dumps(EXAMPLE_KIT_ID))
    return before, after
