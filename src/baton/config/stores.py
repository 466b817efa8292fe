"""Addresses of object stores as operators write them: S3, S3 compatible, Google (video.md 6.1).

    s3://<key>:<secret>@<region>/<bucket>[/<prefix>]
    s3+http[s]://<key>:<secret>@<host[:port]>/<bucket>[/<prefix>]
    gs://<bucket>[/<prefix>]?keyfile=<path>, or the key file's JSON, percent-encoded, as user info

Pure. No message repeats the address: it holds credentials.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from baton.config.values import BadValueError, Base

__all__ = ["STORE_SCHEMES", "GoogleAddress", "S3Address", "read_store"]

_COMPATIBLE = {"s3+http": "http", "s3+https": "https"}
STORE_SCHEMES = ("s3", *_COMPATIBLE, "gs")
"""Schemes of stores that are not directories."""

_DEFAULT_REGION = "us-east-1"
_LABELS_WITH_REGION = 4
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_LONGEST_PREFIX_BYTES = 400
"""An object name has at most 1024 bytes, and a session id and two parts of a name come behind the prefix."""


@dataclass(frozen=True, slots=True)
class S3Address:
    """A bucket of an S3 store and the credentials that own it. ``host`` is the URL of the bucket."""

    host: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class GoogleAddress:
    """A bucket of Google's store; either the path of a service account's key file or its JSON is set."""

    bucket: str
    key_file: str = ""
    key_json: str = field(default="", repr=False)
    prefix: str = ""

    @property
    def host(self) -> str:
        """The URL of the bucket."""
        return f"https://{self.bucket}.storage.googleapis.com"


def read_store(text: str, *, base: Base | None = None) -> tuple[str, S3Address | GoogleAddress]:
    """The address in canonical form and what it says; with ``base`` the path of a key file becomes absolute.

    Raises:
        BadValueError: not such an address. The reason completes "--object-store ...".
    """
    try:
        parts = urlsplit(text)
        scheme = parts.scheme.lower()
        user, _, place = parts.netloc.rpartition("@")
    except ValueError:
        raise BadValueError(_form("")) from None
    if scheme not in STORE_SCHEMES or not text.isprintable():
        raise BadValueError(_form(scheme))
    if scheme == "gs":
        return _google(parts, user=unquote(user), place=place, base=base)
    return text, _s3(parts, scheme=scheme, user=user, place=place)


def _form(scheme: str) -> str:
    forms = {
        "s3": "s3://key:secret@region/bucket[/prefix]",
        "gs": "gs://bucket[/prefix]?keyfile=/path/of/key.json",
    }
    return f"must have the form {forms.get(scheme, 's3+https://key:secret@host[:port]/bucket[/prefix]')}"


def _s3(parts: SplitResult, *, scheme: str, user: str, place: str) -> S3Address:
    access_key, _, secret_key = user.partition(":")
    if user and not secret_key:
        message = f"cannot be used: password is required with {scheme}:// OS"
        raise BadValueError(message)
    bucket, _, prefix = unquote(parts.path.lstrip("/")).partition("/")
    well_formed = _REGION.fullmatch(place) if scheme == "s3" else _HOST.fullmatch(place)
    if not access_key or not well_formed or not _BUCKET.fullmatch(bucket) or parts.query or parts.fragment:
        # The usual reason: a secret with a slash in it, which ends the address early.
        message = f"{_form(scheme)}; in key and secret a / is written %2F, and ? # @ likewise"
        raise BadValueError(message)
    amazon = scheme == "s3"
    if not amazon:
        _check_place(place)
    return S3Address(
        host=f"https://{bucket}.s3.amazonaws.com" if amazon else f"{_COMPATIBLE[scheme]}://{place}/{bucket}",
        bucket=bucket,
        region=place if amazon else _region_of(place),
        access_key=unquote(access_key),
        secret_key=unquote(secret_key),
        prefix=_prefix(prefix),
    )


def _check_place(place: str) -> None:
    """Refuse a host and port that no connection can be made to."""
    try:
        parts = urlsplit(f"//{place}")
        possible = parts.port is None or parts.port > 0
        if place.startswith("["):
            ipaddress.IPv6Address(parts.hostname or "")
    except ValueError:
        possible = False
    if not possible:
        message = "names a host or port that cannot be"
        raise BadValueError(message)


def _region_of(place: str) -> str:
    """The second label of names like ``s3.eu-west-1.example.com``; addresses and short names have no region."""
    host = place.rsplit(":", 1)[0] if place[-1:] != "]" else place
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        labels = host.split(".")
        return labels[1] if len(labels) >= _LABELS_WITH_REGION else _DEFAULT_REGION
    return _DEFAULT_REGION


def _google(parts: SplitResult, *, user: str, place: str, base: Base | None) -> tuple[str, GoogleAddress]:
    try:
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise BadValueError(_form("gs")) from None
    key_file = query.pop("keyfile", "")
    if query or parts.fragment or not _BUCKET.fullmatch(place) or "\0" in key_file:
        raise BadValueError(_form("gs"))
    if bool(key_file) == bool(user):
        message = "needs the key of a service account: ?keyfile=/path/of/key.json"
        raise BadValueError(message)
    prefix = _prefix(unquote(parts.path.lstrip("/")))
    if key_file and base is not None:
        key_file = str(base.resolve(key_file))
    folder = f"/{quote(prefix)}" if prefix else ""
    said = f"?keyfile={quote(key_file)}" if key_file else ""
    text = f"gs://{quote(user, safe='') + '@' if user else ''}{place}{folder}{said}"
    return text, GoogleAddress(bucket=place, key_file=key_file, key_json=user, prefix=prefix)


def _prefix(text: str) -> str:
    prefix = text.strip("/")
    if not prefix:
        return ""
    odd = any(part in {"", ".", ".."} for part in prefix.split("/")) or "$" in prefix or "\\" in prefix
    if odd or not prefix.isprintable() or len(prefix.encode()) > _LONGEST_PREFIX_BYTES:
        message = f"must have a plain prefix of at most {_LONGEST_PREFIX_BYTES} bytes"
        raise BadValueError(message)
    return prefix
