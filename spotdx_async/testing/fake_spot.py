"""The fake API as state and rules, without a network: what it remembers, whom it admits, what it answers.

To add an operation, write it as a function of the state and the call beside the others of its noun, with its row.
"""

import json
from typing import Any, Never
from urllib.parse import parse_qsl

from spotdx_async.testing.answers import Answer
from spotdx_async.testing.bodies import BadBodyError
from spotdx_async.testing.kits import KIT_ROUTES
from spotdx_async.testing.listing import BadQueryError
from spotdx_async.testing.orders import ORDER_ROUTES
from spotdx_async.testing.patients import PATIENT_ROUTES
from spotdx_async.testing.requisitions import REQUISITION_ROUTES
from spotdx_async.testing.routes import NOT_JSON, Call, RouteTable
from spotdx_async.testing.state import World

__all__ = ["ROUTES", "SpotState"]

ROUTES = (*KIT_ROUTES, *ORDER_ROUTES, *REQUISITION_ROUTES, *PATIENT_ROUTES)
"""The operations that the fake plays: the contract's rows."""

_SCHEME = "Token "


class SpotState(World):
    """The world, and what it answers to a call."""

    _table = RouteTable(ROUTES)

    def read(self, method: str, target: str, body: bytes = b"", *, index: int = 0) -> Call:
        """Understand a request: its row, ids, query and JSON.

        Args:
            method: the HTTP method.
            target: path and query as they stand on the request line.
            body: the bytes that came.
            index: the place of the request among all that arrived.
        """
        path, _, query = target.partition("?")
        route, params = self._table.find(method, path)
        pairs = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        return Call(method, path, route, params, pairs, _parse(body), index)

    def admits(self, authorization: str | None) -> bool:
        """Whether an ``Authorization`` header holds an accepted token: the word Token, one space, the token."""
        return authorization is not None and (
            authorization.startswith(_SCHEME) and authorization[len(_SCHEME) :] in self.tokens
        )

    def execute(self, call: Call, authorization: str | None) -> Answer:
        """Carry the call out, or say why not: 401 first, then 404 for a path or method of no row, then its own.

        A rule that raises has changed nothing yet: it is a bad request.
        """
        if not self.admits(authorization):
            return self.refuse(401, "Authentication credentials were not provided or are not valid")
        if call.route is None:
            return self.refuse(404, f"No operation {call.method} {call.path} (a slash too many or too few?)")
        try:
            return call.route.handler(self, call)
        except (BadBodyError, BadQueryError) as error:
            return self.refuse(400, *error.args)


def _refuse_constant(_: str) -> Never:
    raise ValueError("NaN and the infinities are no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _parse(body: bytes) -> Any:
    if not body:
        return None
    try:
        return _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        return NOT_JSON
