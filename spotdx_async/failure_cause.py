"""What is known of why an attempt failed, as its errors carry it; it knows no error."""

from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class FailureCause:
    """What the operating system, TLS or a proxy reported about a failed attempt: plain facts, none of them secret."""

    cause_type: str | None = None
    """The class of what failed, such as ``ConnectionResetError``."""
    errno: int | None = None
    """The operating system's error number."""
    tls_reason: str | None = None
    """OpenSSL's verification message, or its reason."""
    proxy_status: int | None = None
    """What a proxy answered that made no tunnel."""
    proxy: str | None = None
    """Host and port of the client's own proxy, if the failure was certainly there."""

    @classmethod
    def of(cls, error: Any) -> Self:
        """Return what an error says about it."""
        return cls(*(getattr(error, one.name) for one in fields(cls)))

    def give_to(self, error: Any) -> None:
        """Set these facts as attributes of an error."""
        for one in fields(self):
            setattr(error, one.name, getattr(self, one.name))
