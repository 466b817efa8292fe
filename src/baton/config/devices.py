"""How ``--nvidia`` is read: ``all``, or a comma list of card numbers, each once (video.md 5.7, operator.md 4).

Pure. Whether the cards are there is asked of the driver when the node starts.
"""

import re

from baton.config.values import BadValueError, Base, Kind, Raw, read_text
from baton.kernel.devices import NO_DEVICES, DeviceSelection
from baton.kernel.redaction import printable

__all__ = ["device_list"]

_INDEX = re.compile(r"0|[1-9][0-9]{0,2}")
_MOST_DEVICES = 64
_LONGEST_ECHO = 80


def _read_devices(raw: Raw, _base: Base) -> DeviceSelection:
    text = ",".join(raw) if isinstance(raw, tuple) else read_text(raw)
    if not text:
        return NO_DEVICES
    if text == "all":
        return DeviceSelection(every=True)
    items = [item.strip() for item in text.split(",", _MOST_DEVICES)]
    if len(items) > _MOST_DEVICES:
        raise _unreadable(text, f"at most {_MOST_DEVICES} cards can be named")
    for item in items:
        if not _INDEX.fullmatch(item):
            shown = printable(item, limit=_LONGEST_ECHO)
            raise _unreadable(text, f"{shown!r} is not the number of a card; write `all` or a list such as 0,1")
    indices = tuple(int(item) for item in items)
    for place, index in enumerate(indices):
        if index in indices[:place]:
            raise _unreadable(text, f"card {index} is named twice")
    return DeviceSelection(indices)


def _unreadable(text: str, reason: str) -> BadValueError:
    # The beginning is the reference's, so that an operator who searches for it finds the same advice.
    shown = printable(text, limit=_LONGEST_ECHO)
    return BadValueError(f"Error while parsing '-nvidia {shown}' flag: {reason}", whole=True)


def device_list() -> Kind:
    """Cards by number, ``all`` of them, or empty for none."""
    return Kind("`all` or card numbers", _read_devices)
