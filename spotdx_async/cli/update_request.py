"""What a bulk update is asked to do: its noun and files, its options, and the settings in force."""

from collections.abc import Mapping

from attrs import frozen

from spotdx_async.cli.options import USUAL_UPDATE, UpdateOptions
from spotdx_async.cli.settings import Settings
from spotdx_async.cli.update_kinds import UpdateKind
from spotdx_async.files import parse_map

__all__ = ["UpdateRequest"]


@frozen(kw_only=True)
class UpdateRequest:
    """One run: what is updated, from which files, where and how."""

    kind: UpdateKind
    files: tuple[str, ...]
    """Paths; ``-`` is standard input."""
    options: UpdateOptions = USUAL_UPDATE
    settings: Settings
    """What is in force; rate and concurrency of ``options`` have been taken into it."""
    grace_s: float = 10.0
    """How long rows under way may take to finish after the first signal to stop."""

    @property
    def columns(self) -> Mapping[str, str] | None:
        """Metadata keys of columns that are named otherwise.

        Raises:
            InvalidInputError: ``--map`` is of another form.
        """
        texts = self.options.column_map
        return parse_map(texts, id_name=self.kind.id_name) if texts else None
