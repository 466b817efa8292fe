"""Settings about the record of money: which database, and what nodes that share one have in common. Pure."""

from typing import NoReturn
from urllib.parse import urlsplit

from baton.config.values import BadValueError, Base, Kind, Raw, read_text

__all__ = ["cluster_secrets", "database_url"]

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgres", "postgresql", "postgresql+psycopg")
_FORM = "must be postgresql://<user>:<password>@<host>[:<port>]/<name> or sqlite:///<path>"
_LEAST_CHARACTERS = 32
_MOST_SECRETS = 2


def database_url() -> Kind:
    """A database, as ``storage.database`` opens it; empty for the file in the data directory."""

    def read(raw: Raw, base: Base) -> str:
        text = read_text(raw)
        if not text:
            return ""
        if text.startswith(_SQLITE):
            path = text.removeprefix(_SQLITE)
            if not path or any(mark in path for mark in "?\0"):
                _refuse()
            return f"{_SQLITE}{base.resolve(path)}"
        try:
            parts = urlsplit(text)
            sound = parts.scheme in _POSTGRESQL and parts.path.strip("/") != "" and parts.port != 0
            reachable = bool(parts.hostname) or "host=" in parts.query
        except ValueError:
            sound = reachable = False
        if not sound or not reachable or not text.isprintable() or " " in text:
            _refuse()
        return f"postgresql+psycopg{text[len(parts.scheme) :]}"

    return Kind("database URL", read)


def cluster_secrets() -> Kind:
    """The secret of a cluster, or the one in use and another that still counts, with white space between."""

    def read(raw: Raw, _base: Base) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(read_text(raw).split()))
        if len(found) > _MOST_SECRETS:
            message = "must be one secret, or two with white space between: the one in use first"
            raise BadValueError(message)
        if any(len(secret) < _LEAST_CHARACTERS for secret in found):
            message = (
                f"must have at least {_LEAST_CHARACTERS} characters that nobody can guess, "
                "for instance of `openssl rand -hex 32`"
            )
            raise BadValueError(message)
        return found

    return Kind("text or file", read)


def _refuse() -> NoReturn:
    # Without the value: it holds a password.
    raise BadValueError(_FORM)
