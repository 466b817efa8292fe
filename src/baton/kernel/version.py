"""The versions we state: our own, and the one gateways compare with their minimum.

Gateways may demand a minimum node version and compare semantic versions without pre-release suffixes (video.md 5.5).
We state the version of the reference whose behaviour we provide and carry our own as build metadata, which such
comparisons ignore.
"""

import re

__all__ = ["NODE_VERSION", "REFERENCE_VERSION", "VERSION", "version_at_least"]

VERSION = "0.1.0"
"""Baton's own version."""

REFERENCE_VERSION = "0.9.1"
"""The node version whose protocol behaviour we provide."""

NODE_VERSION = f"{REFERENCE_VERSION}+baton.{VERSION}"
"""What OrchestratorInfo states."""

_SEMVER = re.compile(
    r"v?(0|[1-9][0-9]{0,19})(?:\.(0|[1-9][0-9]{0,19}))?(?:\.(0|[1-9][0-9]{0,19}))?"
    r"(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
)
_LARGEST_NUMBER = 2**64 - 1
"""Peers read each part into 64 bits; what does not fit is no version."""


def _parse(text: str) -> tuple[int, int, int] | None:
    match = _SEMVER.fullmatch(text)
    if match is None:
        return None
    major, minor, patch = (int(part or 0) for part in match.groups())
    return (major, minor, patch) if max(major, minor, patch) <= _LARGEST_NUMBER else None


def version_at_least(version: str, minimum: str) -> bool:
    """Whether a node of ``version`` satisfies ``minimum`` under the network's lenient rule.

    No minimum is always satisfied; an unstated version never satisfies one; a minimum nobody can parse is ignored;
    a version nobody can parse fails. Pre-release suffixes do not count.
    """
    if minimum == "":
        return True
    if version in {"", "undefined"}:
        return False
    wanted = _parse(minimum)
    if wanted is None:
        return True
    have = _parse(version)
    return have is not None and have >= wanted
