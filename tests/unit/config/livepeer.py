"""``baton livepeer`` without a process: a place of its own to load the reference's flags in."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from baton.config.livepeer_load import Asked, ask, load_livepeer
from baton.config.load import Loaded
from baton.kernel.errors import ConfigError

__all__ = ["COMBINED", "Operator"]

COMBINED = ("-orchestrator", "-transcoder")
"""The role that this version has."""


@dataclass(frozen=True)
class Operator:
    """Somebody who moves here with a home and a working directory."""

    home: Path
    directory: Path

    @property
    def default_place(self) -> Path:
        return self.home / ".lpData" / "offchain"

    def ask(self, *args: str, environ: Mapping[str, str] | None = None) -> Asked:
        return ask(args, environ=environ or {}, home=self.home, directory=self.directory)

    def load(self, *args: str, environ: Mapping[str, str] | None = None) -> Loaded:
        """The settings for ``args``, which name the role too."""
        return load_livepeer(self.ask(*args, environ=environ), home=self.home, directory=self.directory)

    def combined(self, *args: str, environ: Mapping[str, str] | None = None) -> Loaded:
        """The settings of an orchestrator with its transcoder."""
        return self.load(*COMBINED, *args, environ=environ)

    def problems(self, *args: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """What is wrong with ``args``."""
        with pytest.raises(ConfigError) as caught:
            self.load(*args, environ=environ)
        return caught.value.problems

    def file(self, text: str) -> str:
        """A configuration file; its path."""
        path = self.directory / "livepeer.conf"
        path.write_text(text)
        return str(path)
