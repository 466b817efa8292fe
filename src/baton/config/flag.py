"""One setting as a row: what ``config.flags`` lists and everything else that reads settings goes by. Pure."""

from dataclasses import dataclass

from baton.config.values import Kind

__all__ = ["TRANSCODING", "Flag"]

TRANSCODING = "Transcoding"
"""The group of all that is about video, in more than one table."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting. ``target`` is the dotted field of ``config.model.Settings``; ``default`` is text as typed."""

    name: str
    target: str
    kind: Kind
    default: str
    help: str
    group: str
    default_note: str = ""
    """What an empty default means, for the reference page."""
    secret: bool = False
    """Its value is never shown anywhere."""
    value_or_file: bool = False
    """When the text names an existing, non-empty file, the file's content is the value."""
    short: str = ""

    @property
    def option(self) -> str:
        """The long option of the command line."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return "BATON_" + self.name.upper().replace("-", "_")
