"""What tells an operation's answer from any other JSON, said by each operation. Pure; reads no answer."""

from enum import Enum
from typing import TypeAlias

from attrs import field, frozen

__all__ = ["TEXTS", "Echo", "Form", "Identity", "any_id", "id_asked_for", "rows_with"]

Keys: TypeAlias = tuple[str, ...]
"""The way from the top of an answer to a value of it."""


class Form(Enum):
    """What an answer is as a whole."""

    OBJECT = "object"
    ROWS = "rows"
    TEXTS = "texts"


@frozen
class Identity:
    """What must stand in an operation's answer, so that it can be nothing else."""

    form: Form
    id_keys: Keys = ()
    """Where its id stands; of rows, where each has its own."""
    is_asked_for: bool = False
    """Whether the id must be the one that the request's path names; else it only must be there."""
    ignores_case: bool = False
    """Whether ids that differ in case alone are the same, as UUIDs are."""
    sets_metadata: bool = False
    """Whether the request sets the object's metadata: where the answer shows it, it must be what was sent."""
    shows_metadata: bool = False
    """Whether the contract has it in the answer; else it stands among what no contract names, if it comes at all."""
    quoted_key: bytes = field(init=False, repr=False)
    """The last key to the id, as JSON text."""
    opening: bytes = field(init=False, repr=False)
    """How an object begins as text whose id stands first; empty where it is not the one asked for."""
    unfit: tuple[bytes, ...] = field(init=False, repr=False)
    """How a text begins that shows at once that it is no such answer: 10 MB of it need not be parsed."""

    @unfit.default
    def _make_unfit(self) -> tuple[bytes, ...]:
        return (b"[", b'"') if self.form is Form.OBJECT else ()

    @quoted_key.default
    def _make_quoted_key(self) -> bytes:
        return b'"%b"' % "".join(self.id_keys[-1:]).encode()

    @opening.default
    def _make_opening(self) -> bytes:
        return b"{%b:" % self.quoted_key if self.is_asked_for else b""


TEXTS = Identity(Form.TEXTS)
"""A list of texts; an empty one too."""


def id_asked_for(
    key: str, *, ignores_case: bool = False, sets_metadata: bool = False, shows_metadata: bool = False
) -> Identity:
    """An object with the id that was asked for."""
    return Identity(
        Form.OBJECT,
        (key,),
        is_asked_for=True,
        ignores_case=ignores_case,
        sets_metadata=sets_metadata,
        shows_metadata=shows_metadata,
    )


def any_id(*keys: str) -> Identity:
    """An object with an id, which only the server knows before."""
    return Identity(Form.OBJECT, keys)


def rows_with(key: str) -> Identity:
    """A list whose rows have this key; an empty one too."""
    return Identity(Form.ROWS, (key,))


@frozen
class Echo:
    """What was sent and comes back in the answer to a create: another value there means another object."""

    keys: Keys
    """Where it stands in the answer."""
    text: str = field(repr=False)
    """What was sent."""
    is_due: bool = False
    """Whether it must stand there, as far as the object is shown that holds it."""
    is_enough: bool = False
    """Whether it tells the object, together with others of the kind, where the answer has no id."""
    ignores_case: bool = False
    """Whether texts that differ in case, spaces, accents and forms of Unicode are the same: the server may tidy up."""
    may_be_cut: bool = False
    """Whether its beginning is enough where the others of ``is_enough`` are the same: a field may be shorter there."""
