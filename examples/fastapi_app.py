"""FastAPI: one client for the process, a deadline for each request, every error of the SDK mapped to an answer.

To try it:

    $ pip install '.[cli]' fastapi uvicorn    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ uvicorn --app-dir examples fastapi_app:app
    $ curl -X PUT localhost:8000/kits/SPOT123456/cohort -H 'content-type: application/json' -d '"A"'
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from fastapi import Body, Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from spotdx_async import (
    InvalidInputError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimit,
    RateLimitError,
    SpotClient,
    SpotError,
    StatusError,
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Make the client when the process starts, and close it when the process ends."""
    async with SpotClient(rate_limit=RateLimit(50)) as spot:
        app.state.spot = spot
        yield


def client_of(request: Request) -> SpotClient:
    """Return a view of the one client: no request waits longer than two seconds, whatever the server does."""
    spot: SpotClient = request.app.state.spot
    return spot.with_options(deadline_s=2.0)


Spot = Annotated[SpotClient, Depends(client_of)]
app = FastAPI(lifespan=lifespan)


@app.put("/kits/{kit_id}/cohort")
async def set_cohort(kit_id: str, cohort: Annotated[Literal["A", "B"], Body()], spot: Spot) -> dict[str, str | None]:
    """Set a kit's metadata; of the kit that comes back, only what is no patient data goes on."""
    kit = await spot.kits.update_metadata(kit_id, {"cohort": cohort})
    return {"kit_id": kit.kit_id, "status": kit.status}


@app.exception_handler(SpotError)
async def answer(_request: Request, error: SpotError) -> JSONResponse:
    """Say what our caller can do about it; texts of the SDK's errors hold no data, the server's words might."""
    match error:
        case InvalidInputError():
            status, advice = 422, "correct the request"
        case OutcomeUnknownError() | StatusError(may_be_executed=True):
            status, advice = 504, "it may be done: setting it again is safe"
        case NotFoundError():
            status, advice = 404, "there is no such kit"
        case NotSentError() | RateLimitError():
            status, advice = 503, "nothing was done: try again later"
        case _:
            status, advice = 502, "the Spot API did not do it"
    headers = {"Retry-After": "5"} if status == 503 else None  # noqa: PLR2004 - HTTP's own numbers
    return JSONResponse({"error": type(error).__name__, "advice": advice}, status, headers)
