"""Keyed digests, by which a journal knows rows again without holding an id or a value."""

import hashlib

from spotdx_async.bulk.journal.records import RowDigests

__all__ = ["SECRET_BYTES", "Digester"]

_DIGEST_BYTES = 8
SECRET_BYTES = 16


class Digester:
    """Makes keyed digests: those of two journals cannot be compared, and none can be looked up in a table made before.

    Who can read a journal has its secret too and can try out guesses; against that there is only the file's mode.
    """

    def __init__(self, secret: bytes) -> None:
        self._content = hashlib.blake2b(key=secret, digest_size=_DIGEST_BYTES, person=b"content")
        self._key = hashlib.blake2b(key=secret, digest_size=_DIGEST_BYTES, person=b"key")
        self._text = hashlib.blake2b(key=secret, digest_size=SECRET_BYTES, person=b"text")

    def row(self, key: str, content: bytes) -> RowDigests:
        """Digest a row."""
        name = key.encode("utf-8", "surrogatepass")
        of_content, of_key = self._content.copy(), self._key.copy()
        # With the length in front, no other pair of key and content reads the same.
        of_content.update(b"%d:%b" % (len(name), name))
        of_content.update(content)
        of_key.update(name)
        return RowDigests(of_content.digest(), of_key.digest())

    def text(self, text: str) -> bytes:
        """Digest a text that is only compared, such as the server's address."""
        digest = self._text.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()
