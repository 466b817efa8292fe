"""A place to load settings from: a home, a working directory, and nothing of this machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from baton.config.load import Loaded, load
from baton.kernel.errors import ConfigError

from .livepeer import Operator


@dataclass(frozen=True)
class Place:
    home: Path
    directory: Path

    @property
    def data_dir(self) -> Path:
        return self.home / ".baton" / "offchain"

    def load(self, *args: str, environ: Mapping[str, str] | None = None) -> Loaded:
        return load(args, environ=environ or {}, home=self.home, directory=self.directory)

    def problems(self, *args: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as caught:
            self.load(*args, environ=environ)
        return caught.value.problems

    def problem(self, *args: str, environ: Mapping[str, str] | None = None) -> str:
        found = self.problems(*args, environ=environ)
        assert len(found) == 1, found
        return found[0]

    def write(self, text: str, *, where: Path | None = None) -> Path:
        path = where or self.directory / "baton.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home, directory = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    directory.mkdir()
    return Place(home, directory)


@pytest.fixture
def operator(place: Place) -> Operator:
    return Operator(place.home, place.directory)
