"""What a bulk run gets of its client: single attempts without the bounds of single calls, and what it needs to know."""

from functools import partial
from typing import Any, TypeVar

from spotdx_async._http.runner import Runner
from spotdx_async._requests.operation import Operation
from spotdx_async.bulk.options import Job, Send
from spotdx_async.bulk.records import Update

J = TypeVar("J", bound=Job)


def job_of(
    operation: Operation[Any],
    runner: Runner,
    *,
    make: type[J],
    send: Send,
    rows_name: str = "updates",
    kind: type[Update] | None = None,
    lands_within_s: float | None = None,
    **more: Any,
) -> J:
    """Return what a run of this operation does with its rows.

    Args:
        operation: what each row does.
        runner: the client's, without bounds on waits: a run has its own.
        make: the class of what is returned.
        send: makes one attempt.
        rows_name: the name of the argument with the rows.
        kind: what a row is, in a run that sets metadata.
        lands_within_s: as for the client; None: the client's.
        **more: what that class has beside all these.
    """
    state = runner.state
    return make(
        kind=kind,
        rows_name=rows_name,
        send=send,
        operation=operation.name,
        server=state.transport.base_url,
        policy=runner.options.retry,
        lands_within_s=runner.lands_within_s if lands_within_s is None else lands_within_s,
        open_runs=state.open_runs,
        sleep=partial(state.sleep, for_pause=True),
        dispatcher=state.dispatcher,
        allow_any_id=runner.allow_any_id,
        encode=runner.encode,
        **more,
    )
