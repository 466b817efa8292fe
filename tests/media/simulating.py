"""Simulated devices for tests: folders that real engine children take for the hardware they run on."""

from dataclasses import dataclass
from pathlib import Path

from baton.app.engines import EngineDevice, EngineRules
from baton.media.keepers import KeeperLimits
from baton.media.pool import PoolLimits
from baton.media.process import ChildCommand
from baton.video.care import DeviceTimes
from baton.video.health import HealthLimits
from tests.media.simulated_device import FOLDER

__all__ = ["QUICK_RULES", "SimulatedDevice"]

_MODULE = "tests.media.simulated_device"

QUICK_RULES = EngineRules(
    pool=PoolLimits(keepers=KeeperLimits(watch_interval_s=0.02, pause_first_s=0.02)),
    health=HealthLimits(asked_every_s=0.2, absent_s=8.0, pause_first_s=0.2, pause_most_s=0.5),
    times=DeviceTimes(proof_s=10.0, proof_with_others_s=2.0, look_every_s=0.05),
)
"""The real rules with short waits."""


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """One device: its folder and its name."""

    folder: Path
    name: str

    @classmethod
    def make(cls, folder: Path, name: str) -> "SimulatedDevice":
        """A device that works."""
        (folder / name).mkdir()
        device = cls(folder / name, name)
        device.become("fine")
        return device

    def become(self, mode: str) -> None:
        """Break or mend it: its children see it with their next step."""
        fresh = self.folder / "mode.new"
        fresh.write_text(mode, encoding="ascii")
        fresh.replace(self.folder / "mode")

    @property
    def as_engine_device(self) -> EngineDevice:
        """The device as a node is given it."""
        return EngineDevice(
            self.name,
            command=ChildCommand(
                transcode=f"{_MODULE}:transcode",
                probe=f"{_MODULE}:probe",
                release=f"{_MODULE}:release",
                niceness=0,
                environment=((FOLDER, str(self.folder)),),
            ),
        )

    def events(self, word: str) -> list[str]:
        """What its children did, by the first word of their notes; without their process ids."""
        log = self.folder / "log"
        if not log.exists():
            return []
        notes = [line.partition(" ")[2] for line in log.read_text(encoding="ascii").splitlines()]
        return [note.partition(" ")[2] for note in notes if note.partition(" ")[0] == word]

    def workers(self, session_key: str) -> list[int]:
        """Process ids of the children that finished a segment of this stream, in order."""
        lines = (self.folder / "log").read_text(encoding="ascii").splitlines()
        return [int(line.split()[0]) for line in lines if line.split()[1:] == ["done", session_key]]

    @property
    def kept(self) -> list[str]:
        """Streams whose encoders are open somewhere on it, once for each living child that keeps them."""
        found = [path.name.split("-", 2)[1:] for path in self.folder.glob("kept-*")]
        return sorted(session_key for pid, session_key in found if Path(f"/proc/{pid}").exists())
