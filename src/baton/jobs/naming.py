"""Names of renditions inside a session's folder: ``<profile name>/<seq><ext>`` (video.md 6.4), made safe.

Profile names come from the wire and end up in URLs and paths. Gateways only fetch the URL they are given, so a name
with a slash, a control character or a leading dot may be written differently without anybody noticing, and two profiles
of one request never share an object.
"""

import re
from itertools import chain, count

from baton.kernel.profiles import VideoProfile

__all__ = ["rendition_names"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._ +@=,()-]")
_MOST_CHARACTERS = 96


def _folder(name: str) -> str:
    plain = _UNSAFE.sub("_", name)[:_MOST_CHARACTERS].strip(" ")
    return "_" + plain[1:] if plain.startswith(".") else plain or "_"


def rendition_names(profiles: tuple[VideoProfile, ...], *, seq: int) -> tuple[str, ...]:
    """One object name per profile, in order and all different."""
    names: list[str] = []
    for profile in profiles:
        folder, file = _folder(profile.name), f"{seq}{profile.format.extension}"
        candidates = chain((folder,), (f"{folder}_{number}" for number in count(1)))
        names.append(next(name for each in candidates if (name := f"{each}/{file}") not in names))
    return tuple(names)
