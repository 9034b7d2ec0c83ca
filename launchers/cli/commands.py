"""All commands. Exit codes: 0 done, 1 the campaign failed, 2 bad input, 130 interrupted.

One module a group of commands; each has an ``app`` that is added here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.cli import bench, data, db, fireworks, gan, models, reading, running, serve, steering
from niobe.launchers.interrupts import CODE
from niobe.launchers.terminal import in_words, say
from niobe.launchers.upkeep import commands as upkeep

if TYPE_CHECKING:
    from pydantic import ValidationError

app = typer.Typer(
    help="Niobe finds new crystals: generate, screen, acquire, validate with phonons, learn, repeat.",
    epilog="Exit codes: 0 done, 1 the campaign failed, 2 bad input, 130 interrupted (run it again to go on).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from niobe.config.version import code_version

        say(f"niobe {code_version()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which code this is.")
    ] = False,
) -> None:
    """Options of the command itself."""


for group in (running, fireworks, reading, data, bench, serve, steering, models, gan, upkeep):
    app.add_typer(group.app)
db.app.command()(data.upgrade)
app.add_typer(db.app, name="db")


def run() -> None:
    """Run the command; a user's mistake is one line on stderr and exit code 2, a lost database and code 1."""
    try:
        app()
    except SystemExit:
        raise
    except ConfigError as error:
        say(f"niobe: {error}", error=True)
        raise SystemExit(2) from None
    except OSError as error:
        say(f"niobe: {_path_and_reason(error)}", error=True)
        raise SystemExit(2) from None
    except UnicodeEncodeError as error:
        say(f"niobe: {error.object!r}: is no text in UTF-8", error=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(CODE) from None
    except _connection_failure() as error:
        lost = str(error).split(" (configured", maxsplit=1)[0]
        say(f"niobe: lost the database ({lost}); the same command goes on where it was", error=True)
        raise SystemExit(1) from None
    except _no_shape() as error:
        say(f"niobe: {in_words(error)}", error=True)
        raise SystemExit(1) from None
    except _refusal() as error:
        said = str(error).split(", full error", maxsplit=1)[0]
        say(f"niobe: the database refused it ({said})", error=True)
        raise SystemExit(1) from None
    except _wrong_address() as error:
        variables = "NIOBE_MONGO_URI, NIOBE_DATABASE"
        say(f"niobe: {variables}: no address or name ({type(error).__name__})", error=True)
        raise SystemExit(2) from None


def _path_and_reason(error: OSError) -> str:
    """One line; where something was to be moved, the path is where to."""
    path = error.filename if error.filename2 is None else error.filename2
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    return reason if path is None else f"{path}: {reason}"


def _connection_failure() -> type[Exception]:
    """Asked for only where something was raised: importing it takes a while."""
    from pymongo.errors import ConnectionFailure

    return ConnectionFailure


def _no_shape() -> type[ValidationError]:
    """What a model raises for a stored document that is none of it."""
    from pydantic import ValidationError

    return ValidationError


def _refusal() -> type[Exception]:
    """What a database answers that has no room, is damaged, ran out of time or does not let one in."""
    from pymongo.errors import OperationFailure

    return OperationFailure


def _wrong_address() -> tuple[type[Exception], ...]:
    """What a LaunchPad raises for a URI or a database name that is none."""
    from pymongo.errors import ConfigurationError, InvalidName

    return ConfigurationError, InvalidName
