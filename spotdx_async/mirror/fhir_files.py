"""A mirror as FHIR resources: one file of NDJSON for each resource type, as bulk FHIR servers write them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

from spotdx_async import private_files
from spotdx_async._codec.json import serialize_any
from spotdx_async.errors import InvalidInputError
from spotdx_async.fhir import Codes, resources
from spotdx_async.mirror.export_places import check_targets, writing
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
    check_targets(file, folder, paths.values())
    patients = folder / f"{RESOURCE_TYPES[0]}.ndjson"
    if patients not in paths.values() and os.path.lexists(patients):
        raise InvalidInputError(f"{patients} is of an export with patient data: remove it, or name another folder")
    with ExitStack() as stack:
        unfinished: dict[str, private_files.NewFile] = {}
        for kind, path in paths.items():
            with writing(path):
                unfinished[kind] = private_files.NewFile(path)
            stack.callback(unfinished[kind].discard)
        lines: dict[str, list[bytes]] = {kind: [] for kind in kinds}
        sizes = dict.fromkeys(kinds, 0)
        with file.snapshot() as database:
            for resource in _resources(file, database, codes, since):
                kind = resource["resourceType"]
                line = serialize_any(resource) + b"\n"
                lines[kind].append(line)
                sizes[kind] += len(line)
                if sizes[kind] >= _BYTES_AT_ONCE:
                    with writing(paths[kind]):
                        unfinished[kind].write(lines[kind])
                    lines[kind].clear()
                    sizes[kind] = 0
        # All of them are on the disk before the first takes its place: a full disk leaves no half of an export.
        for kind in kinds:
            with writing(paths[kind]):
                unfinished[kind].write(lines[kind])
                unfinished[kind].sync()
        for kind in kinds:
            with writing(paths[kind]):
                unfinished[kind].put_in_place()
        with writing(folder):
            private_files.sync_folder(folder)
    return paths


def _resources(file: MirrorFile, database: Any, codes: Codes | None, since: date | None) -> Iterator[dict[str, Any]]:
    """Yield each resource once: a patient belongs to several kits, and has the same id in each of them."""
    with file.seen_ids(database) as is_new:
        for found in stored_objects(file, database, since):
            # Without patient data the ids of patients are pseudonyms already.
            for resource in resources(found, codes=codes, phi=file.phi, pseudonym=None if file.phi else str):
                if resource["resourceType"] != "Patient" or is_new(resource["id"]):
                    yield resource
