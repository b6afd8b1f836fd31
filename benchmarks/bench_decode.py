"""How long does it take to make a Kit of an answer's bytes, with every tolerance on?

The vendor's example kit (2.3 kB, 19 objects) is read in interleaved rounds of one process. Times are CPU time; ratios
are medians of the rounds' ratios, with quartiles. The peers' models are made of the SDK's own, field by field, so that
all read the same. pydantic keeps unknown fields and enumeration values, and keeps unknown kinds of result only in its
second row; msgspec drops unknown fields and leaves enumerations text. ``pip install pydantic msgspec`` for these rows::

    python benchmarks/bench_decode.py [--rounds 15] [--calls 2000] [--json FILE]
"""

import gc
import importlib
import json
import time
from collections.abc import Callable
from enum import Enum
from functools import partial, reduce
from operator import or_
from pathlib import Path
from types import GenericAlias, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import orjson
from figures import Figure, figure, leave, not_measured, options_of
from rounds import CLIENT_CORE, interleaved, pin, ratio, spread

from spotdx_async._codec.codec import decode
from spotdx_async.models import (
    GenotypeResult,
    Kit,
    KitEvent,
    Model,
    QuantityResult,
    RangeLimit,
    ReactivityResult,
    Registrant,
    Report,
    Result,
    Sample,
    SampleEvent,
    Shipment,
    UnknownResult,
)

SAMPLE = Path(__file__).parents[1] / "tests" / "samples" / "kit.json"
KNOWN_RESULTS: tuple[type[Model], ...] = (QuantityResult, ReactivityResult, GenotypeResult)
RESULTS = (*KNOWN_RESULTS, UnknownResult)
MODELS: tuple[type[Model], ...] = (KitEvent, SampleEvent, Shipment, Registrant, *RESULTS, Report, Sample, Kit)
PYDANTIC = "pydantic v2"
OURS = "spotdx_async"

Read = Callable[[bytes], Any]


def main() -> None:
    """Measure every reader that is installed, and print the table."""
    parser = options_of(__doc__, rounds=15)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    pin(CLIENT_CORE)
    body = json.dumps(json.loads(SAMPLE.read_bytes()), separators=(",", ":")).encode()
    readers: dict[str, Read | None] = {
        "orjson.loads": orjson.loads,
        "msgspec": msgspec_reader(),
        PYDANTIC: pydantic_reader(keeps_unknown_kinds=False),
        f"{PYDANTIC}, unknown kinds kept": pydantic_reader(keeps_unknown_kinds=True),
        OURS: lambda text: decode(text, Kit),
    }
    kinds = {name: partial(timed, read, body, options.calls) for name, read in readers.items() if read is not None}
    times = interleaved(kinds, options.rounds)
    reference = PYDANTIC if PYDANTIC in times else "orjson.loads"
    print(f"{len(body)} bytes, {options.rounds} rounds of {options.calls:,} calls\n")
    print(f"| reader | CPU | against {reference} |\n|---|---|---|")
    for name in readers:
        print(row(name, times, reference))
    leave([figure("a Kit from its bytes, CPU", spread(times[OURS]), "µs"), beside_pydantic(times)], options.json)


def timed(read: Read, body: bytes, calls: int) -> float:
    """Give the CPU time of a call in microseconds."""
    gc.collect()
    start = time.process_time()
    for _ in range(calls):
        read(body)
    return (time.process_time() - start) / calls * 1e6


def row(name: str, times: dict[str, list[float]], reference: str) -> str:
    """Write a line of the table."""
    if name not in times:
        return f"| {name} | not installed | |"
    return f"| {name} | {spread(times[name]).middle:.1f} µs | {ratio(times[name], times[reference]).text()} |"


def beside_pydantic(times: dict[str, list[float]]) -> Figure:
    """Compare with pydantic where it is installed."""
    name = f"a Kit from its bytes, CPU / {PYDANTIC}"
    if PYDANTIC not in times:
        return not_measured(name, "pydantic is not installed")
    return figure(name, ratio(times[OURS], times[PYDANTIC]), at_most=1.0)


def pydantic_reader(*, keeps_unknown_kinds: bool) -> Read | None:
    """Make a reader of pydantic models, or None where it is not installed."""
    pydantic = installed("pydantic")
    if pydantic is None:
        return None

    def tag_of(value: Any) -> str:
        tag = value.get("result_type")
        return tag if tag in {"quantity", "reactivity", "genotype"} else "unknown"

    peers: dict[Any, Any] = {RangeLimit: int | float | str}
    for cls in MODELS:
        fields = {name: (peer_of(kind, peers), default) for name, kind, default in fields_of(cls)}
        config = pydantic.ConfigDict(extra="allow", frozen=True)
        peers[cls] = pydantic.create_model(cls.__name__, __config__=config, **fields)
        if keeps_unknown_kinds and cls is UnknownResult:
            kinds = zip(("quantity", "reactivity", "genotype", "unknown"), RESULTS, strict=True)
            tagged = [Annotated[peers[kind], pydantic.Tag(tag)] for tag, kind in kinds]
            peers[Result] = Annotated[union_of(tagged), pydantic.Discriminator(tag_of)]
        elif cls is UnknownResult:
            known = [peers[kind] for kind in KNOWN_RESULTS]
            peers[Result] = Annotated[union_of(known), pydantic.Field(discriminator="result_type")]
    read: Read = peers[Kit].model_validate_json
    return read


def msgspec_reader() -> Read | None:
    """Make a reader of msgspec structs, or None where it is not installed."""
    msgspec = installed("msgspec")
    if msgspec is None:
        return None
    peers: dict[Any, Any] = {RangeLimit: int | float | str}
    for cls in MODELS:
        fields = [(name, without_enum(peer_of(kind, peers)), default) for name, kind, default in fields_of(cls)]
        tag = {}
        if cls in KNOWN_RESULTS:
            fields = [field for field in fields if field[0] != "result_type"]
            tag = {"tag_field": "result_type", "tag": attrs.fields_dict(cls)["result_type"].default}
        peers[cls] = msgspec.defstruct(cls.__name__, fields, frozen=True, kw_only=True, **tag)
        if cls is UnknownResult:
            peers[Result] = union_of([peers[kind] for kind in KNOWN_RESULTS])
    read: Read = msgspec.json.Decoder(peers[Kit]).decode
    return read


def installed(package: str) -> Any:
    """Import a package, or give None."""
    try:
        return importlib.import_module(package)
    except ImportError:
        return None


def fields_of(cls: type[Model]) -> list[tuple[str, Any, Any]]:
    """List the fields that stand in the JSON: name, annotation and default."""
    own = attrs.fields_dict(Model)
    return [(field.name, field.type, field.default) for field in attrs.fields(cls) if field.name not in own]


def peer_of(kind: Any, peers: dict[Any, Any]) -> Any:
    """Put the peer's models in place of ours in an annotation."""
    if kind in peers:
        return peers[kind]
    if get_origin(kind) is tuple:
        return GenericAlias(tuple, (peer_of(get_args(kind)[0], peers), ...))
    if get_origin(kind) in (Union, UnionType):
        return union_of([peer_of(part, peers) for part in get_args(kind)])
    return kind


def without_enum(kind: Any) -> Any:
    """Leave only the text of an annotation such as ``KitStatus | str | None``: msgspec takes but one of the two."""
    parts = get_args(kind)
    others = [part for part in parts if not (isinstance(part, type) and issubclass(part, Enum))]
    return kind if len(others) == len(parts) else union_of(others)


def union_of(kinds: list[Any]) -> Any:
    """Make a union of annotations."""
    return reduce(or_, kinds)


if __name__ == "__main__":
    main()
