#!/usr/bin/env python3
"""Write ``docs/licences.md``: what each package that a running node depends on allows and demands.

Versions come from the lock, licences from the metadata of the installed packages. ``--check`` writes nothing and fails
when the document is stale.
"""

import argparse
import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
DOCUMENT = ROOT / "docs" / "licences.md"
NOTES = {
    "av": "The wheel carries FFmpeg libraries built with x264 and x265, so the binaries are under the GPL",
    "imageio-ffmpeg": "The wheel carries an FFmpeg program built as GPL 3; it runs as a process of its own",
}
HEAD = """# Licences

Written by `scripts/licences.py` from the lock and the metadata of the installed packages; a test compares.

Baton itself is under the [MIT licence](../LICENSE). The clip of the demo is
[in the public domain](../src/baton/selftest/media/LICENSE). Baton is distributed without its dependencies: the package
installer of your machine fetches them. Whoever passes on an image or a bundle that holds the media packages passes on
GPL binaries, and owes their recipients what the GPL demands.

`baton devnet` fetches anvil (MIT or Apache-2.0) with npm when it is first started; whoever changes its contracts also
fetches solc (the package is under the MIT licence, the compiler inside it under the GPL 3). Neither is part of Baton.

| Package | Version | Licence | Note |
|---|---|---|---|
"""
CLASSIFIER = "License :: OSI Approved :: "


def locked() -> dict[str, list[str]]:
    """Versions by package name; some packages have one per Python. What only Windows gets is left out."""
    versions: dict[str, list[str]] = {}
    text = LOCK.read_text(encoding="utf-8")
    for name, version, marker in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)(.*)$", text, re.MULTILINE):
        if "win32" not in marker:
            versions.setdefault(name, []).append(version)
    return versions


def licence(name: str) -> str:
    """The licence as the package states it: expression, else classifiers, else the first line of its licence field."""
    facts = metadata(name)
    if "License-Expression" in facts:
        return facts["License-Expression"]
    stated = [
        item.removeprefix(CLASSIFIER) for item in facts.get_all("Classifier") or () if item.startswith(CLASSIFIER)
    ]
    if stated:
        return ", ".join(stated)
    if "License" in facts:
        return facts["License"].strip().partition("\n")[0]
    return "not stated"


def document() -> str:
    """The whole text."""
    rows = [
        f"| {name} | {', '.join(versions)} | {licence(name)} | {NOTES.get(name, '')} |"
        for name, versions in sorted(locked().items())
    ]
    return HEAD + "\n".join(rows) + "\n"


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(description="Write docs/licences.md.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    check: bool = parser.parse_args().check
    try:
        text = document()
    except PackageNotFoundError as error:
        print(f"not installed: {error}; run scripts/setup", file=sys.stderr)
        return 1
    if check:
        if DOCUMENT.is_file() and DOCUMENT.read_text(encoding="utf-8") == text:
            return 0
        print("docs/licences.md is stale: run .venv/bin/python scripts/licences.py", file=sys.stderr)
        return 1
    DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
