"""What went wrong with an attempt: takes aiohttp's exceptions, returns ``TransportFailure``, lets foreign ones through.

The caller says whether the request may have arrived: no exception tells that.
"""

import asyncio
import errno
import os
import ssl
import zlib
from types import MappingProxyType
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from spotdx_async._http.messages import TransportFailure
from spotdx_async._http.sessions import SecondSendingError
from spotdx_async.errors import OUT_OF_FILES, REFUSALS_OF_A_PROXY, FailureCause
from spotdx_async.network import about_client_certificate

_NOTHING_SENT: Final = ", so nothing was sent"
# OpenSSL's X509_V_ERR_... numbers, which the ssl module does not name.
_VERIFY_TEXTS: Final = MappingProxyType(
    {
        **dict.fromkeys((2, 18, 19, 20, 21), "the server's certificate is signed by an unknown authority"),
        9: "the server's certificate is not valid yet",
        10: "the server's certificate has expired",
        **dict.fromkeys((62, 64), "the server's certificate is not valid for this host"),
    }
)
# OpenSSL's name for a server's complaint of the handshake, which may be that the client shows no certificate.
_HANDSHAKE_FAILURE: Final = "SSLV3_ALERT_HANDSHAKE_FAILURE"
_PROXY_TEXTS: Final = MappingProxyType(
    {
        401: "does not accept the credentials (401)",
        403: "refused to connect to the server (403)",
        407: "asks for credentials (407)",
    }
)


class ClosedError(Exception):
    """The client was closed while the body was being read."""


class TooLargeError(Exception):
    """The answer is longer, or holds more values, than allowed; the text says which."""


_NAMED: Final = (
    *(aiohttp.ClientError, OSError, EOFError, HttpProcessingError, zlib.error),
    *(TooLargeError, SecondSendingError),
)


def foreign_in(error: BaseException, *, is_own: bool) -> BaseException | None:
    """Return the exception that neither the network nor aiohttp made, such as one from a hook or a signal handler.

    aiohttp wraps exceptions raised while it reads or writes in its own errors. The cause of an OSError is not looked
    at: whoever turned it into an OSError, such as a resolver, has dealt with it.

    Args:
        error: what aiohttp raised.
        is_own: whether the session is ours: a ValueError is then a check of aiohttp's, since no hooks run there.
    """
    named = (*_NAMED, ValueError) if is_own else _NAMED
    found: BaseException | None = error
    while found is not None:
        if not isinstance(found, named):
            return None if found is not error and isinstance(found, asyncio.CancelledError) else found
        found = None if isinstance(found, OSError) else found.__cause__
    return None


def closed_failure(status: int | None, *, may_have_arrived: bool) -> TransportFailure:
    """Describe an attempt that ended because its connections were closed, not because it was cancelled."""
    message = "the connections were closed while the request was under way"
    if not may_have_arrived:
        message = f"the connections were closed before the request was written{_NOTHING_SENT}"
    return TransportFailure("closed", message, may_have_arrived=may_have_arrived, status=status)


def failure_of(
    error: BaseException,
    status: int | None,
    *,
    may_have_arrived: bool,
    was_repeated: bool = False,
    proxy: str | None = None,
) -> TransportFailure:
    """Describe a failure of the network or of aiohttp.

    Args:
        error: what aiohttp raised, with nothing foreign in it.
        status: of the answer, if it broke off after one.
        may_have_arrived: whether bytes were sent, or nobody can know.
        was_repeated: whether a second sending was prevented after the first had failed.
        proxy: host and port of the client's own proxy; None if there is none, or a caller's session knows of it.
    """
    if not may_have_arrived:
        return _not_sent(error, proxy)
    inner = _innermost(error)
    if isinstance(error, TooLargeError):
        message = f"the answer {error.args[0]}, so it was not read"
        return TransportFailure("too large", message, may_have_arrived=True, is_lasting=True, status=status)
    if was_repeated or isinstance(error, SecondSendingError):
        message = "aiohttp or the session's middleware accepted no answer, and was kept from sending the request again"
        return TransportFailure("dropped", message, may_have_arrived=True, status=status)
    reason, message = "dropped", "the connection broke before a whole answer came"
    if isinstance(error, TimeoutError):
        reason, message = "timeout", "no whole answer came within timeout_s"
    elif isinstance(inner, LineTooLong):
        message = "the answer's headers are longer than aiohttp allows (8 kB each)"
    cause = _cause(error, inner)
    # In TLS 1.3 a server reports it after the client's handshake, and the request may have been written by then.
    about_certificate = about_client_certificate(cause.tls_reason)
    return TransportFailure(
        reason,
        about_certificate or message,
        may_have_arrived=True,
        is_lasting=about_certificate is not None,
        status=status,
        cause=cause,
    )


def _not_sent(error: BaseException, proxy: str | None) -> TransportFailure:
    inner = _innermost(error)
    cause = _cause(error, inner, proxy if _is_at_proxy(error, proxy) else None)
    if _is_out_of_files(error):
        message = f"no connection could be made: too many open files{_NOTHING_SENT}"
        if cause.errno not in OUT_OF_FILES:
            cause = FailureCause("OSError", errno.EMFILE)
        return TransportFailure("connect", message, may_have_arrived=False, cause=cause)
    reason, message, is_lasting = _connection_words(error, inner, proxy)
    return TransportFailure(
        reason,
        message + _NOTHING_SENT,
        may_have_arrived=False,
        is_lasting=is_lasting,
        cause=cause,
    )


def _connection_words(error: BaseException, inner: BaseException, proxy: str | None) -> tuple[str, str, bool]:
    """Return the reason, the message, and whether the next attempt would fail in the same way."""
    named = "the proxy" if proxy is None else f"the proxy {proxy}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return (
            "connect",
            f"{named} {_PROXY_TEXTS.get(error.status, f'answered {error.status}')}",
            error.status in REFUSALS_OF_A_PROXY,
        )
    if isinstance(error, (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError)):
        return "tls", *_tls_words(inner)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return (
            "dns",
            "the server's name was not found" if proxy is None else f"the proxy's name was not found ({proxy})",
            False,
        )
    if isinstance(error, TimeoutError):
        bound = "connect_timeout_s" if isinstance(error, aiohttp.ConnectionTimeoutError) else "timeout_s"
        return "timeout", f"no connection within {bound}", False
    if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
        return "connect", "aiohttp rejected the request", True
    other_end = named if _is_at_proxy(error, proxy) else "the server"
    if other_end == named and isinstance(error, aiohttp.ClientResponseError):
        return "connect", f"{named} gave no answer that is HTTP", False
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ECONNREFUSED:
        return "refused", f"{other_end} refused the connection", False
    return "connect", "no connection could be made" + (f" to {named}" if other_end == named else ""), False


def _is_at_proxy(error: BaseException, proxy: str | None) -> bool:
    """Return whether, if there is a proxy, it was this that could not be reached, refused, or gave no answer."""
    # Where there is a proxy, no other name is looked up.
    at_proxy = (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError, aiohttp.ClientConnectorDNSError)
    if proxy is None or isinstance(error, (*at_proxy, aiohttp.ClientConnectorError)):
        return isinstance(error, at_proxy)
    # Nothing was sent to the server, so that what broke off, or was no HTTP, answered a CONNECT.
    return isinstance(error, (aiohttp.ClientResponseError, aiohttp.ClientOSError, aiohttp.ServerDisconnectedError))


def _is_out_of_files(error: BaseException) -> bool:
    """Return whether this process may open no more files, so that nothing is known of the server.

    Name resolution says only that it failed, and so do attempts at several addresses: then a file is opened, to see.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in OUT_OF_FILES:
        return True
    if not isinstance(error, aiohttp.ClientConnectorError) or isinstance(error, aiohttp.ClientSSLError):
        return False
    if number is not None and not isinstance(error, aiohttp.ClientConnectorDNSError):
        return False
    try:
        opened = os.pipe()
    except OSError as trouble:
        return trouble.errno in OUT_OF_FILES
    for end in opened:
        os.close(end)
    return False


def _tls_words(inner: BaseException) -> tuple[str, bool]:
    if isinstance(inner, ssl.SSLCertVerificationError):
        return _VERIFY_TEXTS.get(inner.verify_code, "the server's certificate could not be verified"), True
    if isinstance(inner, aiohttp.ServerFingerprintMismatch):
        return "the server's certificate has a different fingerprint", True
    reason = inner.reason if isinstance(inner, ssl.SSLError) else None
    if (about_certificate := about_client_certificate(reason)) is not None:
        return about_certificate, True
    if reason == _HANDSHAKE_FAILURE:
        return "the server refused the TLS handshake: it may ask for a client certificate or another TLS version", False
    return "the server refused the TLS handshake" if "ALERT" in (reason or "") else "the TLS handshake failed", False


def _innermost(error: BaseException) -> BaseException:
    """Return the innermost error that aiohttp's was made from."""
    while True:
        deeper = error.__cause__
        if deeper is None and isinstance(error, aiohttp.ClientConnectorError):
            deeper = error.os_error
        if deeper is None or deeper is error or not isinstance(deeper, Exception):
            return error
        error = deeper


def _cause(error: BaseException, inner: BaseException, proxy: str | None = None) -> FailureCause:
    if isinstance(inner, ssl.SSLCertVerificationError):
        return FailureCause(type(inner).__name__, tls_reason=inner.verify_message)
    if isinstance(inner, ssl.SSLError):  # its errno is OpenSSL's, not the system's
        return FailureCause(type(inner).__name__, tls_reason=inner.reason)
    number = next((one.errno for one in (inner, error) if isinstance(one, OSError)), None)
    proxy_status = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else None
    kind = type(inner)
    if number is not None and isinstance(inner, aiohttp.ClientOSError):  # its origin is unknown
        kind = type(OSError(number, ""))  # Python picks the class by the number
    return FailureCause(kind.__name__, number, proxy_status=proxy_status, proxy=proxy)
