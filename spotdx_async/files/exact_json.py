"""JSON of the server as it came, where Python's own ``json`` cannot read or write it: huge numbers, and any depth."""

import json
import re
from typing import Any

from spotdx_async._codec.json import parse_exact, serialize_any

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


def read_exactly(text: bytes) -> Any:
    """Return the values in JSON that ``dumps`` wrote; ``str`` of a number that no float holds is what came."""
    return parse_exact(text)


def exact_text(value: Any, *, is_ascii: bool) -> str:
    """Return values that ``read_exactly`` has returned as JSON, compact and with every number as it came."""
    text = serialize_any(value).decode()
    return _BEYOND_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text) if is_ascii else text
