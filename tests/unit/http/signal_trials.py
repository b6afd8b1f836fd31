"""A process whose signal handler raises at many moments, as Celery's soft time limit does; prints how each trial ended.

Run by ``test_transport_sockets.py``: in a process of its own, since a signal may come anywhere. Where it comes between
a task's step and asyncio's note of what the task waits for, neither an answer nor a cancellation reaches the task any
more, whatever it runs: then the process says so and ends, and the next one goes on with the trial after it.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading

from spotdx_async._http.messages import AttemptState, Request, Token, TransportFailure
from spotdx_async._http.transport import Transport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20_000
KINDS = (
    Request("update", "POST", "/u", body=b"{}", is_replay_safe=True),
    Request("create", "POST", "/c", body=b"{}"),
    Request("get", "GET", "/g", is_replay_safe=True),
)


STUCK_AFTER_S = 15.0
"""Each trial ends within a second or two."""


class SoftTimeLimitError(Exception):
    """Raised by the handler."""


def answer_all(listener: socket.socket) -> None:
    """Answer each request in two pieces."""

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while connection.recv(65536):
                connection.sendall(ANSWER[:300])
                connection.sendall(ANSWER[300:])

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


async def call_until_it_ends(url: str) -> str:
    """Make calls one after another; name the first that comes back with a trouble."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    transport = Transport(url, max_body_bytes=1_000_000, user_agent="trial")
    try:
        async with asyncio.timeout(1):  # what a callback of the loop's raises, asyncio logs and keeps
            while True:
                for request in KINDS:
                    result = await transport.send(request, Token("t"), 5, AttemptState())
                    if isinstance(result, TransportFailure):
                        return result.reason
    except TimeoutError:
        return "kept by asyncio"
    finally:
        await transport.close()


def trial(url: str, after_s: float) -> str:
    """Let the signal come after so long."""
    with asyncio.Runner() as runner:
        watch = threading.Timer(STUCK_AFTER_S, give_up, (runner.get_loop(),))
        watch.daemon = True
        watch.start()
        signal.setitimer(signal.ITIMER_REAL, after_s)
        try:
            return runner.run(call_until_it_ends(url))
        except SoftTimeLimitError:
            return "raised"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            watch.cancel()


def give_up(loop: asyncio.AbstractEventLoop) -> None:
    """Say whether asyncio has lost a task of the loop, and end."""
    # A cancellation that is to come with the next step, of a task that waits for something: nothing calls that step.
    is_lost = any(getattr(task, "_must_cancel", False) for task in asyncio.all_tasks(loop))
    tell("lost by asyncio" if is_lost else "hung")
    os._exit(0)


def tell(end: str) -> None:
    """Print how a trial ended."""
    sys.stdout.write(f"{end}\n")
    sys.stdout.flush()


def main() -> None:
    """Run the trials from the first number to before the last."""

    def stop(*_args: object) -> None:
        raise SoftTimeLimitError

    signal.signal(signal.SIGALRM, stop)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=answer_all, args=(listener,), daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        try:
            end = trial(url, 0.004 + number * 0.00009)
        except SoftTimeLimitError:  # at the very last moment of the trial
            end = "raised"
        tell(end)


if __name__ == "__main__":
    main()
