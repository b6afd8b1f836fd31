"""A process whose signal handler raises at many moments, as Celery's soft time limit does; prints how each trial ended.

Run by ``test_transport_sockets.py``: in a process of its own, since a signal may come anywhere.
"""

import asyncio
import collections
import contextlib
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
    signal.setitimer(signal.ITIMER_REAL, after_s)
    try:
        return asyncio.run(call_until_it_ends(url))
    except SoftTimeLimitError:
        return "raised"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """Run the trials, and print the counts."""

    def stop(*_args: object) -> None:
        raise SoftTimeLimitError

    signal.signal(signal.SIGALRM, stop)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=answer_all, args=(listener,), daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ends = collections.Counter(trial(url, 0.004 + number * 0.00009) for number in range(int(sys.argv[1])))
    sys.stdout.write(" ".join(f"{end.replace(' ', '_')}={count}" for end, count in sorted(ends.items())))


if __name__ == "__main__":
    main()
