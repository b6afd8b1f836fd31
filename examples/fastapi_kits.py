"""FastAPI and pydantic with whole kits: in a response, in a model of your own, and in a request.

To try it:

    $ pip install '.[cli]' fastapi uvicorn    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ uvicorn --app-dir examples fastapi_kits:app
    $ curl localhost:8000/kits/SPOT123456
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema

from spotdx_async import DecodeError, Kit, SpotClient, dumps, loads, to_dict


def read_kit(value: object) -> Kit:
    """Return a kit, or read one from JSON values; pydantic reports the ValueError, which holds a place and no value."""
    if isinstance(value, Kit):
        return value
    try:
        return loads(json.dumps(value), Kit)
    except DecodeError as error:
        reason = str(error)
    raise ValueError(reason)


KitField = Annotated[
    Kit, PlainValidator(read_kit), PlainSerializer(to_dict), WithJsonSchema({"type": "object", "title": "Kit"})
]
"""A Kit as a field of pydantic's models; a field of any other model of the SDK is made in the same way."""


class Visit(BaseModel):
    """A model of your own that holds a kit."""

    model_config = ConfigDict(hide_input_in_errors=True)  # else its errors show the kit, with the patient

    room: int
    kit: KitField


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Make the client when the process starts, and close it when the process ends."""
    async with SpotClient() as spot:
        app.state.spot = spot
        yield


app = FastAPI(lifespan=lifespan)


@app.exception_handler(RequestValidationError)
async def refuse(_request: Request, error: RequestValidationError) -> JSONResponse:
    """Say where a request is wrong; FastAPI's own answer repeats the input."""
    faults = [{"loc": fault["loc"], "msg": fault["msg"]} for fault in error.errors()]
    return JSONResponse({"detail": faults}, 422)


@app.get("/kits/{kit_id}")
async def kit_as_values(kit_id: str, request: Request) -> dict[str, Any]:
    """Return a kit as JSON values, to which you can add or from which you can take."""
    spot: SpotClient = request.app.state.spot
    values = to_dict(await spot.kits.get(kit_id))
    values.pop("registered_to", None)
    return values


@app.get("/kits/{kit_id}/raw")
async def kit_as_text(kit_id: str, request: Request) -> Response:
    """Return a kit as the server sent it; nothing is validated or copied."""
    spot: SpotClient = request.app.state.spot
    return Response(dumps(await spot.kits.get(kit_id)), media_type="application/json")


@app.post("/visits")
async def begin_visit(visit: Visit) -> Visit:
    """Take a model that holds a kit, and return it."""
    return visit
