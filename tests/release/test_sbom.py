"""A package that the SBOM leaves out, or that is not installed, is found."""

from typing import Any

from tests.release.sbom import differences

INSTALLED = [
    {"name": "spotdx-async", "version": "1.0"},
    {"name": "typing_extensions", "version": "4.0"},
    {"name": "attrs", "version": "24.2"},
]


def sbom_of(*components: tuple[str, str]) -> dict[str, Any]:
    root = {"name": "spotdx-async", "version": "1.0"}
    made = [{"name": name, "version": version} for name, version in components]
    return {"metadata": {"component": root}, "components": made}


def test_names_are_the_same_however_they_are_written() -> None:
    assert differences(INSTALLED, sbom_of(("typing-extensions", "4.0"), ("Attrs", "24.2"))) == ([], [])


def test_what_is_missing_and_what_is_added_is_named_with_its_version() -> None:
    sbom = sbom_of(("typing-extensions", "4.0"), ("attrs", "25.0"), ("pip", "25.1"))

    assert differences(INSTALLED, sbom) == (["attrs==24.2"], ["attrs==25.0", "pip==25.1"])


def test_a_project_without_its_version_is_a_difference() -> None:
    sbom = sbom_of(("typing-extensions", "4.0"), ("attrs", "24.2"))
    del sbom["metadata"]["component"]["version"]

    assert differences(INSTALLED, sbom) == (["spotdx-async==1.0"], ["spotdx-async=="])
