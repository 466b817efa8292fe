"""Plain answers of the management port and the fields of its forms, as scripts know them (operator.md 11.1)."""

from urllib.parse import parse_qs

from fastapi import Request, Response

from baton.kernel.redaction import printable

__all__ = ["error", "parameter", "text"]

_OK = 200
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 50


def text(body: str, *, status: int = _OK) -> Response:
    """A plain answer."""
    return Response(body, status_code=status, headers={"content-type": "text/plain; charset=utf-8"})


def error(status: int, body: str) -> Response:
    """An error as the reference words it: one line that no browser takes for anything else."""
    answer = text(f"{body}\n", status=status)
    answer.headers["x-content-type-options"] = "nosniff"
    return answer


async def parameter(request: Request, name: str) -> str:
    """A form field, or else a field of the query; empty when neither is there. The body is bounded by the guard."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        body = (await request.body()).decode("utf-8", "replace")
        try:
            values = parse_qs(body, max_num_fields=_MOST_FIELDS).get(name)
        except ValueError:
            return ""
        if values:
            return printable(values[0], limit=100)
    return printable(request.query_params.get(name, ""), limit=100)
