"""Commands that run a campaign or say what it would cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.cli.shared import AsJson, CampaignFile, chosen_records, print_rows, report_of
from niobe.launchers.terminal import console, say, styled

if TYPE_CHECKING:
    from niobe.config.spec import CampaignSpec
    from niobe.launchers.new_campaign import Question
    from niobe.loop.store.database import Database

app = typer.Typer()
_SUBMITTED_SECONDS = 10.0
"""How long `niobe launch` waits for another that submits the same campaign."""


@app.command()
def launch(
    file: CampaignFile,
    seed: Annotated[int | None, typer.Option(help="Use this campaign seed instead of the file's.")] = None,
    oracle: Annotated[str | None, typer.Option(help="Use this oracle instead of the file's.")] = None,
    id: Annotated[str | None, typer.Option(help="Run (or fork) under this campaign id.")] = None,
    launcher: Annotated[str | None, typer.Option(help="local, or fireworks: submit for rockets.")] = None,
) -> None:
    """Run a campaign to its end, or go on where it was."""
    from niobe.config.loading import load_campaign
    from niobe.flows.goals.resolving import properties_of, trust_named
    from niobe.flows.oracles.registry import check_machine
    from niobe.launchers.local.holding import only_one
    from niobe.launchers.local.launcher import run_held
    from niobe.launchers.local.progress import CampaignProgress
    from niobe.launchers.rounds import begin_campaign
    from niobe.launchers.services import campaign_database

    spec = load_campaign(file, seed=seed, oracle__name=oracle, id=id, launcher=launcher)
    trust_named(spec)
    check_machine(spec)
    properties_of(spec)
    if spec.launcher == "fireworks":
        _submit(spec)
        return
    with campaign_database() as database:
        with _told(), only_one(database, spec.id) as hold:
            spec = begin_campaign(database, spec)
            with CampaignProgress(database, spec, console()) as progress:
                reason = run_held(database, spec, progress.tick, hold)
        _show_end(database, spec, reason)


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="Where to write it; the elements' name if left out.")] = Path(),
    elements: Annotated[str | None, typer.Option(help="Elements such as Cu,O.")] = None,
    oracle: Annotated[str | None, typer.Option(help="What judges: 7net-0, emt, vasp, …")] = None,
    budget: Annotated[str | None, typer.Option(help="Candidates given to the oracle.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: defaults for the rest.")] = False,
) -> None:
    """Write a campaign file with comments, from three answers."""
    from niobe.launchers.new_campaign import QUESTIONS, ask, write_file

    named = {"elements": elements, "oracle": oracle, "budget": budget}
    defaults = {question.key: question.default for question in QUESTIONS if yes}
    given = defaults | {key: value for key, value in named.items() if value is not None}
    path = write_file(ask(given, _answer, lambda mistake: say(f"niobe: {mistake}")), file)
    say(f"wrote {path}: `niobe check {path}` says what it would cost, `niobe launch {path}` runs it")


def _answer(question: Question) -> str:
    """One line from the terminal or a pipe. Raises ConfigError where there is none any more."""
    try:
        return input(f"{question.asks} ({question.note}) [{question.default}] ").strip()
    except EOFError:
        flags = "--elements, --oracle and --budget, or take the defaults by --yes"
        raise ConfigError(f"new: no answer to {question.asks!r}; give {flags}") from None


@app.command()
def check(file: CampaignFile, as_json: AsJson = False) -> None:
    """Validate a campaign file and say what it would cost; nothing is written."""
    from niobe.config.loading import load_campaign
    from niobe.flows.oracles.checks import check_inputs
    from niobe.flows.oracles.registry import missing_here
    from niobe.launchers.estimate import estimate
    from niobe.launchers.output.tables import oracle_card

    spec = load_campaign(file)
    own = check_inputs(spec)
    cost, card = estimate(spec, own), oracle_card(spec.oracle) | {"missing here": missing_here(spec)}
    if as_json:
        print_rows([cost | card], as_json)
        return
    print_rows([cost], as_json, title=f"{file} is a valid campaign")
    print_rows([card], as_json, title="Its oracle")


@app.command()
def oracles(as_json: AsJson = False) -> None:
    """What may judge, by the name a campaign file gives it: functional, training data, known weakness."""
    from niobe.config.oracles.cards import card_of
    from niobe.config.plugins import ORACLES, registered

    rows = [{"oracle": name, **card_of(name)._asdict()} for name in registered(ORACLES)]
    print_rows(rows, as_json, title="Oracles")


@contextmanager
def _told() -> Iterator[None]:
    """A source that is partial, or a step that failed, is one line and exit code 1."""
    from niobe.launchers.local.launcher import StepFailedError
    from niobe.launchers.sources import PartialSourceError

    try:
        yield
    except (PartialSourceError, StepFailedError) as error:
        say(f"niobe: {error}", error=True)
        raise typer.Exit(1) from None


def _submit(spec: CampaignSpec) -> None:
    from niobe.launchers.fireworks.launch import launch_campaign
    from niobe.launchers.fireworks.pad import open_launchpad
    from niobe.launchers.local.holding import only_one
    from niobe.launchers.rounds import begin_campaign
    from niobe.launchers.services import campaign_database

    launchpad = open_launchpad()
    with (
        closing(launchpad.connection),
        campaign_database() as database,
        only_one(database, spec.id, wait=_SUBMITTED_SECONDS),
    ):
        with _told():
            spec = begin_campaign(database, spec)
        said = launch_campaign(launchpad, database, spec)
    console().print("campaign", styled(f"{spec.id}:", "bold"), said, soft_wrap=True)


def _show_end(database: Database, spec: CampaignSpec, reason: str) -> None:
    from niobe.config.home import results
    from niobe.launchers.output.exports import export as write
    from niobe.launchers.output.goals import units
    from niobe.launchers.output.tables import brief_rows, finds_title, rediscovery_rows
    from niobe.loop.campaign.controls import acceleration
    from niobe.loop.documents.tiers import headline

    screen = console()
    screen.print("campaign", styled(spec.id, "bold"), f"ended: {reason}")
    finds = list(chosen_records(database, spec.id, every=False))
    screen.print(headline(finds))
    print_rows(brief_rows(finds, units(finds)), False, title=finds_title(finds))
    if spec.seeds.exclude:
        again = rediscovery_rows(spec, database.records.find(spec.id))
        print_rows(again, False, title="Held-out phases rediscovered")
    screen.print(acceleration(database, spec.id))
    folder = results(spec.id)
    folder.mkdir(parents=True, exist_ok=True)
    screen.print(f"report: {report_of(database, spec.id, folder / 'report.html')}", soft_wrap=True)
    if finds:
        screen.print(f"structures: {write(finds, 'cif', folder / 'cif')}", soft_wrap=True)
    screen.print(
        f"table: {write(chosen_records(database, spec.id, every=True), 'csv', folder / 'all.csv')}",
        soft_wrap=True,
    )
