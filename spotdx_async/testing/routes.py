"""The operations as rows of method and path template, and which row a request belongs to; slashes count."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from spotdx_async.testing.answers import Answer


class _NotJson:
    """The type of ``NOT_JSON``."""

    def __repr__(self) -> str:
        return "NOT_JSON"


NOT_JSON: Final = _NotJson()
"""The ``Call.body`` of a request whose text is not JSON."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation that the fake plays."""

    operation: str
    """The client's call that sends it, such as ``kits.get``, so that tests need not write paths."""
    method: str
    template: str
    """The path with its slashes exactly as the contract has them; ``{name}`` stands for one segment."""
    handler: Callable[[Any, "Call"], Answer]
    """Takes the fake's state and the call, changes the state, answers."""
    query: tuple[str, ...] = ()
    """The query parameters that the operation knows."""
    segments: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.template.split("/")))

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """Return the decoded values of the placeholders where the path is of this row, else None."""
        params = {}
        for ours, theirs in zip(self.segments, segments, strict=True):
            if ours.startswith("{"):
                if not theirs:
                    return None
                params[ours[1:-1]] = unquote(theirs)
            elif ours != theirs:
                return None
        return params


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the rules see it; ``repr`` leaves out what may name a patient."""

    method: str
    path: str = field(repr=False)
    """As sent: percent-encoded, without the query."""
    route: Route | None = None
    """None where method and path are of no row."""
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The last value of each parameter, decoded."""
    body: Any = field(default=None, repr=False)
    """The parsed JSON; None for an empty body, ``NOT_JSON`` for one that is not JSON."""
    index: int = 0
    """The position of the request among all that arrived."""

    @property
    def template(self) -> str | None:
        """The path template; None for an unknown path."""
        return self.route.template if self.route else None

    @property
    def kit_id(self) -> str | None:
        """The kit that the path names, if it names one."""
        return self.params.get("kit_id")

    @property
    def order_id(self) -> str | None:
        """The order that the path names, if it names one."""
        return self.params.get("order_id")

    @property
    def requisition_id(self) -> str | None:
        """The requisition that the path names, if it names one."""
        return self.params.get("requisition_id")


class RouteTable:
    """Finds the row of a request by method, number of segments, then the segments themselves."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)
        self._by_shape: dict[tuple[str, int], list[Route]] = {}
        for route in self._routes:
            self._by_shape.setdefault((route.method, len(route.segments)), []).append(route)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def find(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        """Return the row and the placeholders' values; None and no values where no row has exactly these slashes."""
        segments = path.split("/")
        for route in self._by_shape.get((method, len(segments)), ()):
            params = route.match(segments)
            if params is not None:
                return route, params
        return None, {}
