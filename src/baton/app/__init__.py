"""The composition root: settings in, a running node out. The only room that knows every concrete class."""

from baton.app.assemble import run

__all__ = ["run"]
