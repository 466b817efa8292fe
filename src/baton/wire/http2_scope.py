"""The header of an HTTP/2 request as an ASGI scope. Pure."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from baton.wire.replies import Scope

__all__ = ["BODY_IDLE_EXTENSION", "MalformedRequestError", "request_scope"]

BODY_IDLE_EXTENSION: Final = "baton.body_idle"
"""ASGI extension of this port: ``scope["extensions"][...]["set_s"](seconds)`` changes how long the request's body may
pause, None for ever. For routes whose bodies wait for the world, such as live media."""

_BREAKS: Final = re.compile(rb"[\x00\r\n]")


class MalformedRequestError(Exception):
    """Well-formed HTTP/2 that is no request: answered with 400."""


def request_scope(
    headers: Iterable[tuple[bytes, bytes]],
    *,
    client: tuple[str, int] | None,
    server: tuple[str, int] | None,
    secure: bool,
) -> Scope:
    """The scope of a request with ``headers``, pseudo-headers included.

    Raises:
        MalformedRequestError: no method or path, a path that is not ASCII, or line breaks in a header.
    """
    pseudo: dict[bytes, bytes] = {}
    plain: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if _BREAKS.search(value):
            raise MalformedRequestError
        if name.startswith(b":"):
            pseudo[name] = value
        else:
            plain.append((bytes(name), bytes(value)))
    authority = pseudo.get(b":authority")
    if authority is not None and not any(name == b"host" for name, _ in plain):
        plain.insert(0, (b"host", bytes(authority)))
    raw_path, _, query = bytes(pseudo.get(b":path", b"")).partition(b"?")
    method = bytes(pseudo.get(b":method", b""))
    if not raw_path or not method or not raw_path.isascii() or not method.isascii():
        raise MalformedRequestError
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "method": method.decode("ascii"),
        "scheme": "https" if secure else "http",
        "path": unquote(raw_path.decode("ascii")),
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": plain,
        "client": client,
        "server": server,
        "state": {},
        "extensions": {"http.response.trailers": {}},
    }
