"""What a kit and a requisition have in common for FHIR: a patient, a specimen, a status, reports."""

import json
from collections.abc import Callable
from typing import Final, TypeAlias
from uuid import UUID, uuid5

import attrs

from spotdx_async.fhir.elements import (
    BARCODE_SYSTEM,
    KIT_SYSTEM,
    REQUISITION_SYSTEM,
    SAMPLE_SYSTEM,
    Codes,
    Json,
    identifier,
)
from spotdx_async.models import Address, Kit, Patient, Registrant, Report, Requisition
from spotdx_async.tables.cells import Pseudonym, plain

# The namespace of every id that is made here: random once, and never to be changed.
_NAMESPACE: Final = UUID("36b2f494-9223-48fd-98f8-7a2e457ce05a")

ReferenceForm: TypeAlias = Callable[[str, str], str]


def relative(kind: str, id_: str) -> str:
    """Refer to a resource as a server does."""
    return f"{kind}/{id_}"


def urn(_kind: str, id_: str) -> str:
    """Refer to a resource of the same bundle."""
    return f"urn:uuid:{id_}"


@attrs.frozen(kw_only=True)
class Options:
    """What the caller asks for."""

    codes: Codes | None = None
    """The codings of names and units."""

    phi: bool = False
    """Whether to write patient data."""

    links: bool = False
    """Whether reports link to their files."""

    pseudonym: Pseudonym | None = None
    """What stands for a patient's id without ``phi``."""

    reference: ReferenceForm = relative
    """How resources refer to one another."""


@attrs.frozen(kw_only=True)
class Case:
    """A kit or a requisition, as FHIR sees it."""

    key: tuple[str, str | None]
    """Its kind and its id."""

    person: Registrant | Patient | None
    """The person tested."""

    address: Address | None
    """The person's address."""

    has_specimen: bool
    """Whether there is a specimen, or will be one."""

    identifiers: list[Json]
    """Those of the specimen."""

    container: str | None
    """What it is collected on or in."""

    status: str | None
    """The sample's status, or the requisition's."""

    panels: tuple[str, ...]
    """The codes of the tests to run."""

    reports: tuple[Report | None, ...]
    """The laboratory's reports."""

    options: Options
    """What the caller asks for."""

    def id_of(self, kind: str, *positions: int) -> str:
        """Return the id of a resource: the same whenever it is made of the same kit or requisition."""
        return made_id(kind, *self.key, *positions)

    def reference(self, kind: str, *positions: int) -> Json:
        """Return a reference to one of its resources."""
        return {"reference": self.options.reference(kind, self.id_of(kind, *positions))}

    def specimen(self) -> Json | None:
        """Return a reference to its specimen."""
        return self.reference("Specimen") if self.has_specimen else None


def made_id(kind: str, *key: str | int | None) -> str:
    """Return an id that is made of a kind of resource and a key alone."""
    # JSON, so that no two keys are written alike; ASCII, since an id may hold half of a surrogate pair.
    return str(uuid5(_NAMESPACE, json.dumps([kind, *key])))


def case_of(of: Kit | Requisition, options: Options) -> Case:
    """Return what FHIR sees of a kit or a requisition."""
    if isinstance(of, Requisition):
        return Case(
            key=("requisition", of.requisition_id),
            person=of.patient,
            address=None if of.patient is None else of.patient.address,
            has_specimen=True,
            identifiers=[
                *identifier(REQUISITION_SYSTEM, of.requisition_id),
                *identifier(BARCODE_SYSTEM, of.barcode),
            ],
            container=None,
            status=plain(of.status),
            panels=of.panels,
            reports=of.reports,
            options=options,
        )
    sample = of.sample
    return Case(
        key=("kit", of.kit_id),
        person=of.registered_to,
        address=None,
        has_specimen=sample is not None,
        identifiers=[
            *identifier(KIT_SYSTEM, of.kit_id),
            *identifier(SAMPLE_SYSTEM, None if sample is None else sample.sample_id),
        ],
        container=None if sample is None else plain(sample.type),
        status=None if sample is None else plain(sample.status),
        panels=() if sample is None else sample.panels,
        reports=() if sample is None else sample.reports,
        options=options,
    )
