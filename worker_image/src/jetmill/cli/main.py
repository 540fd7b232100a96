"""The command `jetmill`: its own commands, and those that other distributions add.

A distribution adds one by an entry point in the group `jetmill.commands`: a Typer application, or a function that
Typer can make a command of. It is loaded only when it is called, or listed; one that cannot be loaded says so and stops
nobody else.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from jetmill.cli import dead, event, inspect, job
from jetmill.cli.exit import Exit
from jetmill.cli.output import note
from jetmill.cli.worker import worker

GROUP = "jetmill.commands"


class Commands(TyperGroup):
    """Our own commands and the plug-ins'."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command's name."""
        own = super().list_commands(ctx)
        return [*own, *sorted(set(_plug_ins()) - set(own))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Our own command of that name, or a plug-in's."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entry = _plug_ins().get(cmd_name)
        return None if entry is None else _load(entry)


def _plug_ins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load(entry: EntryPoint) -> Any:
    try:
        found = entry.load()
    except Exception as err:  # noqa: BLE001 - a plug-in may raise anything; the others are not to suffer
        note(f"warning: the command {entry.name} ({entry.value}) cannot be loaded: {type(err).__name__}: {err}")
        return None
    if not isinstance(found, typer.Typer):
        added = typer.Typer(add_completion=False)
        added.command(entry.name)(found)
        found = added
    command = typer.main.get_command(found)
    command.name = entry.name
    return command


app = typer.Typer(
    name="jetmill",
    cls=Commands,
    help="Background jobs on NATS JetStream.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(job.app, name="job")
app.add_typer(dead.app, name="dead")
app.add_typer(event.app, name="event")
app.command()(inspect.why)
app.command()(inspect.stats)
app.command()(inspect.verify)
app.command()(worker)
app.command()(inspect.version)


def main() -> None:
    """Run the command line; never returns."""
    try:
        app(prog_name="jetmill")
    except KeyboardInterrupt:
        raise SystemExit(Exit.INTERRUPTED) from None
