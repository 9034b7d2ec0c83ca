"""The command ``niobe``. Its groups of commands are imported once Ctrl-C is looked after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from niobe.launchers import interrupts

if TYPE_CHECKING:
    import typer

    app: typer.Typer

__all__ = ["app", "main"]


def main() -> None:
    """Run the command, as ``commands.run`` does."""
    interrupts.end_at_once()
    from niobe.launchers.cli.commands import run

    interrupts.interrupt()
    try:
        run()
    finally:
        interrupts.pass_over()


def __getattr__(name: str) -> object:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from niobe.launchers.cli.commands import app

    return app
