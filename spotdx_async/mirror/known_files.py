"""Which files of reports a mirror knows, and of which it does not. Synchronous: use it from the mirror's thread."""

import hashlib
from pathlib import Path

from attrs import frozen

from spotdx_async import private_files
from spotdx_async.mirror.schema import WAITING_REPORTS
from spotdx_async.mirror.store import MirrorFile

__all__ = ["KnownFiles", "WaitingReport"]


@frozen
class WaitingReport:
    """A report whose file is not known."""

    source: str
    """``kit`` or ``requisition``."""
    source_id: str
    seq: int
    """Its position among the object's reports."""
    mark: str
    """Which state of it is meant."""


class KnownFiles:
    """The files of reports that a mirror knows by their digests."""

    def __init__(self, file: MirrorFile) -> None:
        self._file = file

    def waiting(self, after: tuple[str, str], objects: int) -> list[WaitingReport]:
        """Return the reports of the next few objects whose files are not known, in the order of the objects."""
        found: list[WaitingReport] = []
        seen: set[tuple[str, str]] = set()
        with self._file.snapshot() as database:
            for source, query in WAITING_REPORTS.items():
                if source < after[0]:
                    continue
                for row in database.execute(query, (after[1] if source == after[0] else "",)):
                    one = WaitingReport(*row)
                    seen.add((one.source, one.source_id))
                    if len(seen) > objects:
                        return found
                    found.append(one)
        return found

    def note(self, waiting: WaitingReport, name: str | None, size: int | None, sha256: str | None) -> None:
        """Note a file that was saved, or that there is none."""
        with self._file.transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO report_files VALUES (?, ?, ?, ?, ?, ?, ?)",
                (waiting.source, waiting.source_id, waiting.seq, waiting.mark, name, size, sha256),
            )

    def forget_missing(self, folder: Path, *, compares: bool) -> None:
        """Forget the files that are not in their folder any more, or have another length.

        Args:
            folder: where they are.
            compares: whether their bytes are compared with their digests, too.
        """
        with self._file.snapshot() as database:
            known = database.execute(
                "SELECT source, source_id, report_seq, name, size, sha256 FROM report_files WHERE name IS NOT NULL"
            )
            missing = [row[:3] for row in known if not _is_there(folder / row[3], row[4], row[5] if compares else None)]
        if missing:
            with self._file.transaction() as database:
                database.executemany(
                    "DELETE FROM report_files WHERE source = ? AND source_id = ? AND report_seq = ?", missing
                )


def _is_there(path: Path, size: int, sha256: str | None) -> bool:
    try:
        about = private_files.look(path)
        if about is None or about.st_size != size:
            return False
        return sha256 is None or hashlib.sha256(private_files.read(path)).hexdigest() == sha256
    except OSError:
        return False  # saving says what is wrong with it
