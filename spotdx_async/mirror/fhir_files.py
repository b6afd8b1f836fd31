"""A mirror as FHIR resources: one file of NDJSON for each resource type, as bulk FHIR servers write them."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

from spotdx_async import private_files
from spotdx_async._codec.json import serialize_any
from spotdx_async.errors import InvalidInputError
from spotdx_async.fhir import Codes, resources
from spotdx_async.files.part_file import PartFile, begun_part
from spotdx_async.mirror.models import stored_objects
from spotdx_async.mirror.store import MirrorFile

__all__ = ["RESOURCE_TYPES", "export_fhir"]

RESOURCE_TYPES = ("Patient", "Specimen", "Observation", "DiagnosticReport")
_BYTES_AT_ONCE = 256 * 1024


def export_fhir(file: MirrorFile, folder: Path, *, codes: Codes | None, since: date | None) -> dict[str, Path]:
    """Write the resources of all kits and requisitions, as of one moment, each file whole or not at all.

    Returns:
        The path of each file, by resource type; without patient data there is none of patients.

    Raises:
        InvalidInputError: a file cannot be written.
        MirrorError: the mirror cannot be read.
    """
    kinds = RESOURCE_TYPES if file.phi else RESOURCE_TYPES[1:]
    paths = {kind: folder / f"{kind}.ndjson" for kind in kinds}
    private_files.make_folder(folder)
    with ExitStack() as stack:
        parts: dict[str, PartFile] = {}
        for kind, path in paths.items():
            parts[kind] = begun_part(path, replace=True)
            stack.callback(parts[kind].abandon)
        lines: dict[str, list[bytes]] = {kind: [] for kind in kinds}
        sizes = dict.fromkeys(kinds, 0)
        with file.snapshot() as database:
            for resource in _resources(file, database, codes, since):
                kind = resource["resourceType"]
                line = serialize_any(resource) + b"\n"
                lines[kind].append(line)
                sizes[kind] += len(line)
                if sizes[kind] >= _BYTES_AT_ONCE:
                    _append(paths[kind], parts[kind], lines[kind])
                    sizes[kind] = 0
        for kind in kinds:
            _append(paths[kind], parts[kind], lines[kind], is_last=True)
    return paths


def _resources(file: MirrorFile, database: Any, codes: Codes | None, since: date | None) -> Iterator[dict[str, Any]]:
    """Yield each resource once: a patient belongs to several kits, and has the same id in each of them."""
    with file.seen_ids(database) as is_new:
        for found in stored_objects(file, database, since):
            # Without patient data the ids of patients are pseudonyms already.
            for resource in resources(found, codes=codes, phi=file.phi, pseudonym=None if file.phi else str):
                if resource["resourceType"] != "Patient" or is_new(resource["id"]):
                    yield resource


def _append(path: Path, part: PartFile, lines: list[bytes], *, is_last: bool = False) -> None:
    try:
        part.append(b"".join(lines))
        if is_last:
            part.settle()
    except OSError as error:
        fault = error.strerror
    else:
        lines.clear()
        return
    raise InvalidInputError(f"{path} cannot be written: {fault}")
