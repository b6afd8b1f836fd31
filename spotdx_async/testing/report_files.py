"""The files of lab reports, behind links that lead to the fake itself and can expire. Pure; knows no network."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spotdx_async.testing.answers import Answer
from spotdx_async.testing.made_up import MADE_UP
from spotdx_async.testing.routes import Call, Route

if TYPE_CHECKING:
    from spotdx_async.testing.state import SpotState

_URL_IN_JSON = re.compile(rb'"(https?://[^"\\]+)"')
_LINK = re.compile(r"(https?://.+)/([\w.-]+)(?:\?signature=[0-9a-f]{8})?", re.ASCII)
_VENDORS = "https://app.spotkits.com/results"
"""Where the links of the documented example lead."""
_REPORTS_NAME = re.compile(r"[\w-]+\.(pdf|txt)", re.ASCII)
_CONTENT_TYPES = {"pdf": "application/pdf", "txt": "text/plain; charset=utf-8"}


class ReportFiles(dict[str, bytes]):
    """The files of reports by their names, such as ``"<report_id>.pdf"``; those that it does not hold are made up.

    Once a server has started, the links of the documented example, and those of reports that the fake has made, lead to
    the fake itself, in answers and in documents.

    Assumed: the API's own server asks for the token where a link leads to it; the documents say nothing about it.

    Attributes:
        needs_token: whether the token is asked for; may be changed, for a fake that plays another host.
        base_url: the address that links lead to; None, before a server has started, leaves links as they are.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        super().__init__(files or {})
        self.needs_token: bool = True
        self.base_url: str | None = None
        self._generation = 1

    def expire(self) -> None:
        """Let all links that were handed out expire; the next answers have new ones."""
        self._generation += 1

    def url(self, name: str) -> str:
        """Return the link to a file, as answers have it now.

        Raises:
            RuntimeError: no server has started, so there is no address.
        """
        if self.base_url is None:
            raise RuntimeError("the fake server has no address before it is started: use `async with`, or start()")
        return f"{self.base_url}/results/{name}?signature={self._signature}"

    def renewed(self, link: str) -> str:
        """Return a link as it is now: one to a file of the fake, or of the documented example, leads here."""
        found = None if self.base_url is None else _LINK.fullmatch(link)
        if found is None or found[1] not in {_VENDORS, MADE_UP, f"{self.base_url}/results"}:
            return link
        return self.url(found[2])

    def renew_in(self, document: dict[str, Any]) -> None:
        """Renew the links of a kit's or a requisition's reports."""
        if self.base_url is None:
            return
        sample = document.get("sample")
        reports = (sample if isinstance(sample, dict) else document).get("reports")
        for report in reports if isinstance(reports, list) else ():
            for kind in _CONTENT_TYPES if isinstance(report, dict) else ():
                if isinstance(link := report.get(kind), str):
                    report[kind] = self.renewed(link)

    def with_links(self, answer: Answer) -> Answer:
        """Return an answer whose links are renewed."""
        if self.base_url is None or not answer.is_success or b"://" not in answer.body:
            return answer
        return replace(answer, body=_URL_IN_JSON.sub(self._renewed_in_json, answer.body))

    def answer(self, name: str, signature: str | None) -> Answer:
        """Answer with a file; 403 for a link that has expired, 404 for a name that no report has."""
        if signature != self._signature:
            return expired_answer(403)
        content, kind = self.get(name), _REPORTS_NAME.fullmatch(name)
        if content is None and kind is not None:
            content = _made_up_pdf(name) if kind[1] == "pdf" else f"Report {name}\nHDL 61.5 mg/dL\n".encode()
        if content is None:
            return Answer(404, b"not found", "text/plain")
        return Answer(200, content, "application/octet-stream" if kind is None else _CONTENT_TYPES[kind[1]])

    def _renewed_in_json(self, found: re.Match[bytes]) -> bytes:
        return b'"' + self.renewed(found[1].decode()).encode() + b'"'

    @property
    def _signature(self) -> str:
        return f"{self._generation:08x}"

    def __repr__(self) -> str:
        return f"<ReportFiles: {len(self)}>"


def expired_answer(status: int) -> Answer:
    """Answer as a storage does to a link that has expired."""
    body = b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code><Message>Expired</Message></Error>"
    return Answer(status, body, "application/xml")


def send_file(state: "SpotState", call: Call) -> Answer:
    """Answer with a report's file."""
    return state.report_files.answer(call.params["file"], call.query.get("signature"))


FILE_ROUTES = (Route("reports.save", "GET", "/results/{file}", send_file, query=("signature",)),)
"""Where links lead: no operations of the contract."""
FILE_OPERATIONS: Mapping[str, tuple[str, str]] = {
    route.operation: (route.method, route.template) for route in FILE_ROUTES
}


def _made_up_pdf(name: str) -> bytes:
    """Return a PDF of one page that shows its name."""
    page = f"BT /F1 12 Tf 20 100 Td ({name}) Tj ET".encode()
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 400 200] >>",
        b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 %b >> >> >>" % font,
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(page), page),
    ]
    made, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(made))
    return made + b"xref\n0 %d\n0000000000 65535 f \n%b%b" % (count, table, trailer)
