"""Links to a report's files: another signature is not another file, and everything else is."""

import json
from typing import Any

import pytest

from spotdx_async.changes.objects import _without_signatures

SIGNED = [
    "X-Amz-Algorithm=A&X-Amz-Credential=C%2F1&X-Amz-Date={n}&X-Amz-Expires=60&X-Amz-Signature={n}",
    "X-Amz-Security-Token={n}&X-Amz-SignedHeaders=host&X-Amz-Signature={n}",
    "AWSAccessKeyId=A&Expires={n}&Signature={n}%3D",
    "Expires={n}&Policy={n}&Signature={n}&Key-Pair-Id=K{n}",
    "X-Goog-Algorithm=A&X-Goog-Date={n}&X-Goog-Signature={n}",
    "GoogleAccessId=a&Expires={n}&Signature={n}",
    "sp=r&st={n}&se={n}&sv=2024&sr=b&sig={n}%3D&skoid={n}&sktid={n}&skt={n}&ske={n}&sks=b&skv=1",
    "token={n}",
    "x-amz-date={n}&x-amz-signature={n}",
]
ORDERS = ["{signed}", "versionId=3&{signed}", "{signed}&versionId=3", "a=1&{signed}&versionId=3"]


def report(url: str, *, name: str = "pdf", escaped: bool = False, **about: Any) -> bytes:
    body = json.dumps({"reports": [{name: url, "results": [], **about}]})
    return (body.replace("&", "\\u0026").replace("/", "\\/") if escaped else body).encode()


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("name", ["pdf", "txt"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signed", SIGNED)
def test_another_signature_is_no_other_file(signed: str, order: str, name: str, *, escaped: bool) -> None:
    one, other = (
        report(f"https://files.example/r.{name}?{order.format(signed=signed.format(n=n))}", name=name, escaped=escaped)
        for n in (17, 18)
    )

    assert one != other
    assert _without_signatures(one) == _without_signatures(other)


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("order", ORDERS[1:])
@pytest.mark.parametrize("signed", SIGNED)
def test_another_version_is_another_file(signed: str, order: str, *, escaped: bool) -> None:
    one, other = (
        report(
            f"https://files.example/r.pdf?{order.format(signed=signed.format(n=17))}".replace("=3", f"={n}"),
            escaped=escaped,
        )
        for n in (3, 4)
    )

    assert _without_signatures(one) != _without_signatures(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (report("https://f.example/1.pdf?Signature=1"), report("https://f.example/2.pdf?Signature=1")),
        (report("https://f.example/1.pdf?Signature=1"), report("https://f.example/1.pdf")),
        (report("https://f.example/1.pdf?nosignature=1"), report("https://f.example/1.pdf?nosignature=2")),
        (
            report("https://f.example/1.pdf?Signature=1", note="1"),
            report("https://f.example/1.pdf?Signature=1", note="2"),
        ),
        (report("https://f.example/?Signature=1", name="url"), report("https://f.example/?Signature=2", name="url")),
        (b'{"comments": "?Signature=1"}', b'{"comments": "?Signature=2"}'),
        (b'{"pdf": null, "a": "?Signature=1"}', b'{"pdf": null, "a": "?Signature=2"}'),
    ],
)
def test_what_else_differs_is_seen(one: bytes, other: bytes) -> None:
    assert _without_signatures(one) != _without_signatures(other)


def test_all_links_of_an_answer_are_compared_so() -> None:
    one, other = (
        b"".join(report(f"https://f.example/{number}.pdf?Expires={n}&v={number}") for number in range(3))
        for n in (1, 2)
    )

    assert _without_signatures(one) == _without_signatures(other)
