"""What a program imports at its start, as ``sitecustomize``: nothing but this machine is reached; tries are told."""

import os
import sys
from ipaddress import ip_address
from typing import Any

NAMES = {None, "", "localhost", b"localhost", os.uname().nodename}


def is_here(host: Any) -> bool:
    """Whether a host is this machine; a name that is not known to be so is another one."""
    if host in NAMES:
        return True
    try:
        address = ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to look up, or connect to, another machine."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if not is_here(host):
        with open(os.environ["TRIED"], "a", encoding="utf-8") as tried:  # noqa: PTH123 - nothing may be imported late
            tried.write(f"{host}\n")
        raise OSError("no network but loopback in the tests")


sys.addaudithook(watch)
