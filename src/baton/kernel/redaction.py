"""What must not leave the node in words: secrets by name, credentials inside URLs, and characters that lie.

The one place for these rules; logs, the settings table and the status answer all use it. Pure. Text of strangers is
made harmless by ``printable``: control and formatting characters become visible escapes, and length is bounded.
"""

import re
import unicodedata

__all__ = ["HIDDEN", "is_secret_name", "mask_urls", "printable", "redact_url"]

HIDDEN = "***"
"""What stands where a secret stood."""

_SECRET_PARTS = ("password", "passphrase", "secret", "token", "signature", "credential", "authorization")
_SECRET_WORDS = frozenset({"key", "keys", "policy", "cookie"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_USERINFO = re.compile(r"://[^/\s?#]*@")
_UP_TO_LAST_AT = re.compile(r"^(?:([^/?#@]*://))?.*@", re.DOTALL)
_QUERY_PAIR = re.compile(r"([?&])([^=&?#\s]+)=([^&#\s]+)")

_HARMFUL_CATEGORIES = frozenset({"Zs", "Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LAST_LATIN = 0xFF
_LAST_BASIC = 0xFFFF


def is_secret_name(name: str) -> bool:
    """Whether a field, header or query parameter of this name carries something to hide.

    ``key`` and ``policy`` count only as whole words, so that ``keyframes`` stays readable.
    """
    lowered = name.lower()
    if any(part in lowered for part in _SECRET_PARTS):
        return True
    return any(word.lower() in _SECRET_WORDS for word in _WORDS.findall(name))


def redact_url(url: str) -> str:
    """``url`` without what may authorise: user info becomes ``***``, and so does the whole query.

    It is also used for what an operator mistyped, so everything before the last ``@`` goes, wherever that stands.
    """
    masked = _UP_TO_LAST_AT.sub(lambda match: f"{match[1] or ''}{HIDDEN}@", url)
    head, mark, _query = masked.partition("?")
    return f"{head}?{HIDDEN}" if mark else masked


def mask_urls(text: str) -> str:
    """Free text with the user info and the secret query parameters of every URL in it hidden."""
    if "://" in text:
        text = _USERINFO.sub(f"://{HIDDEN}@", text)
    if "=" in text:
        text = _QUERY_PAIR.sub(_mask_pair, text)
    return text


def _mask_pair(match: re.Match[str]) -> str:
    mark, name, value = match.groups()
    return f"{mark}{name}={HIDDEN if is_secret_name(name) else value}"


def printable(text: str, *, limit: int = 2048, keep_newlines: bool = False) -> str:
    """``text`` safe for a terminal and a log line: escapes instead of control characters, at most about ``limit`` long.

    Terminal escapes, text direction overrides, line separators and lone surrogates (undecodable bytes of a peer) all
    become escapes of the ``xNN`` and ``uNNNN`` kind.
    """
    rest = len(text) - limit
    if rest > 0:
        text = text[:limit]
    if not text.isprintable():
        text = "".join(c if c.isprintable() or (keep_newlines and c == "\n") else _escape(c) for c in text)
    return f"{text}... ({rest} more)" if rest > 0 else text


def _escape(char: str) -> str:
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if unicodedata.category(char) not in _HARMFUL_CATEGORIES:
        return char
    code = ord(char)
    if code <= _LAST_LATIN:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LAST_BASIC else f"\\U{code:08x}"
