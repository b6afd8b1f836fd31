"""The Dask cluster that a run is on: processes of this machine, closed to its other users, or one at an address.

Anyone who can talk to a scheduler or a worker can run code there. So everything that a cluster of ours listens on
requires a certificate, which is made for the run and exists only in the memory of its processes.
"""

import ipaddress
import logging
import ssl
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from attrs import frozen
from distributed import Client, Nanny, Scheduler, SpecCluster, Worker
from distributed.security import Security

from spotdx_async.errors import ConfigError, InvalidInputError

_CONNECT_S = 30.0
_ENCRYPTED = frozenset({"tls", "wss"})
_IN_PROCESS = "inproc"


@frozen(kw_only=True)
class TlsFiles:
    """Paths of PEM files with which a client and a cluster prove to each other who they are."""

    ca: str
    """The certificates of the authority that signed the cluster's."""
    cert: str
    """The client's own certificate."""
    key: str
    """The key that belongs to it."""


def is_open_to_network(address: str) -> bool:
    """Return whether traffic to a scheduler at this address can be read and changed on its way to another machine."""
    scheme, _, place = address.rpartition("://")
    if (scheme or "tcp") in {*_ENCRYPTED, _IN_PROCESS}:
        return False
    host = place.partition("/")[0].rpartition(":")[0].strip("[]")
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() != "localhost"


@asynccontextmanager
async def connected(
    address: str | None, workers: int | None, *, tls: TlsFiles | None = None
) -> AsyncGenerator[Client, None]:
    """Connect to the cluster at an address, or start one with so many processes on this machine, and end it afterwards.

    The one on this machine accepts only its own processes: it is encrypted, with a certificate for this run that both
    sides must show; it serves no dashboard, and its scratch files are in a folder of mode 0700 that is removed with it.

    Args:
        address: of the scheduler, such as ``tls://host:8786``.
        workers: how many processes of this machine, if there is no address.
        tls: the files for a cluster at an address that uses TLS; None: those that Dask's own settings name.

    Raises:
        ConfigError: nothing answers there, the files of ``tls`` cannot be used, or ``cryptography`` is not installed.
        InvalidInputError: ``tls`` is passed for an address that is not of the form ``tls://host:port``.
    """
    logging.getLogger("distributed").setLevel(logging.ERROR)
    if workers is not None:
        async with _of_this_machine(workers) as cluster, Client(cluster, asynchronous=True) as client:
            yield client
        return
    security = _security(address or "", tls)
    async with AsyncExitStack() as stack:
        client = Client(address, asynchronous=True, timeout=_CONNECT_S, security=security)
        stack.push_async_callback(client.close)
        if not await _is_there(client):
            raise ConfigError("no Dask scheduler answers at the address given, or it does not accept this client")
        yield client


@asynccontextmanager
async def _of_this_machine(workers: int) -> AsyncGenerator[SpecCluster, None]:
    security = _temporary_security()
    common: dict[str, Any] = {"host": "127.0.0.1", "protocol": "tls://", "security": security, "dashboard": False}
    with tempfile.TemporaryDirectory(prefix="spotdx-dask-", ignore_cleanup_errors=True) as scratch:
        worker = {
            "cls": Nanny,
            "options": {
                **common,
                "worker_class": _ClosedWorker,
                "nthreads": 1,
                "memory_limit": 1 / workers,  # of this machine's
                "local_directory": scratch,
                "silence_logs": logging.ERROR,
            },
        }
        async with SpecCluster(
            scheduler={"cls": _ClosedScheduler, "options": {**common, "port": 0}},
            workers=dict.fromkeys(range(workers), worker),
            security=security,
            silence_logs=logging.ERROR,
            asynchronous=True,
        ) as cluster:
            yield cluster


class _ClosedScheduler(Scheduler):
    """Serves no HTTP: even with the dashboard off, Dask serves pages about tasks, and a proxy, to everybody."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Start no server."""


class _ClosedWorker(Worker):
    """Serves no HTTP either."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Start no server."""


def _temporary_security() -> Security:
    try:
        security: Security = Security.temporary()
    except ImportError:
        pass
    else:
        return security
    raise ConfigError(
        "the processes of --workers cannot be closed to other users without cryptography: "
        "pip install 'spotdx-async[dask]'"
    )


def _security(address: str, tls: TlsFiles | None) -> Security:
    is_tls = address.startswith("tls://")
    if tls is None:
        usual = Security()  # from Dask's own settings
        if is_tls and usual.get_connection_args("client")["ssl_context"] is None:
            raise ConfigError(
                "a cluster with TLS accepts nobody without a certificate: pass --dask-tls-ca, --dask-tls-cert and "
                "--dask-tls-key (in a program, tls=), or name the files in Dask's own settings"
            )
        return usual
    if not is_tls:
        raise InvalidInputError("TLS files were passed for an address without TLS: pass one such as tls://host:8786")
    security = Security(tls_ca_file=tls.ca, tls_client_cert=tls.cert, tls_client_key=tls.key, require_encryption=True)
    try:
        security.get_connection_args("client")  # reads the files
    except ssl.SSLError:
        fault = "the files for Dask's TLS hold no certificates and key in PEM that belong together"
    except OSError as error:
        fault = f"the files for Dask's TLS cannot be read ({error.strerror})"
    else:
        return security
    raise ConfigError(fault)


async def _is_there(client: Client) -> bool:
    try:
        await client
    except (OSError, TimeoutError, ValueError):
        return False
    return True
