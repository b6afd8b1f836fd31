"""Mistakes that pyright, and so an editor, refuses, and mypy does not: its plugin for attrs knows one constructor."""

from spotdx_async import KitActivation, NewPatient


def without_a_patient(patient: NewPatient | None) -> None:
    KitActivation("SPOT123456")  # pyright: ignore[reportCallIssue]
    KitActivation("SPOT123456", research_consent=True)  # pyright: ignore[reportCallIssue]
    KitActivation("SPOT123456", patient_id="P1", source=7)
    KitActivation("SPOT123456", patient=patient, patient_id=None)
