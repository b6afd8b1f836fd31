"""Registration tokens: minted by the API, redeemed once on the vendor's page. Pure, but for the secrets it draws."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

__all__ = ["LIFETIME", "Registration", "Registrations"]

LIFETIME = timedelta(minutes=10)


@dataclass(slots=True)
class Registration:
    """What a token is for; ``repr`` shows no patient."""

    patient_id: str = field(repr=False)
    kit_type: str | None
    """What a kit of several purposes becomes; None: it stays what it is."""
    expires: datetime
    is_used: bool = False


class Registrations:
    """The tokens that were minted; neither its ``repr`` nor a message shows one."""

    def __init__(self) -> None:
        self._by_token: dict[str, Registration] = {}
        self._numbers = count(1)

    def mint(self, patient_id: str, kit_type: str | None = None, *, at: datetime) -> tuple[str, str]:
        """Give a token's number and the token: a secret of one use, for ten minutes from that instant."""
        number, expires = next(self._numbers), at + LIFETIME
        claims = {"max": 1, "sub": "patient_registration", "mod": "n", "jti": number}
        token = _signed({**claims, "exp": int(expires.timestamp()), "iat": int(at.timestamp())})
        self._by_token[token] = Registration(patient_id, kit_type, expires)
        return str(number), token

    def look_up(self, token: str, *, at: datetime) -> Registration:
        """Give what the token is for, at that instant.

        Raises:
            ValueError: it was never minted, has been used, or is older than ten minutes.
        """
        found = self._by_token.get(token)
        if found is None:
            raise ValueError("this registration token was never given out")
        if found.is_used:
            raise ValueError("this registration token has been used: it is for one use")
        if at > found.expires:
            raise ValueError("this registration token is older than 10 minutes")
        return found

    def __repr__(self) -> str:
        return f"<Registrations: {len(self._by_token)}>"


def _signed(claims: Mapping[str, Any]) -> str:
    parts = [_written({"typ": "JWT", "alg": "HS256"}), _written(claims), secrets.token_bytes(32)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _written(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
