"""A group whose commands are imported when they are run, so that `--help` costs no more than a list of names."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from switchyard.cli.app.errors import CommandFailed, InvalidArgument

if TYPE_CHECKING:
    from switchyard.app.application import App

P = ParamSpec("P")
Command = TypeVar("Command", bound=Callable[..., Any])


def load_app() -> App:
    """The application, which is imported when a command needs it."""
    from switchyard.app import application

    return application.load_app()


def run_async(command: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A coroutine function as typer takes a command."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        import asyncio

        asyncio.run(command(*args, **kwargs))

    return run


MAX_NUMBER = 1e9
"""In seconds thirty years: beyond it no clock can follow."""


class CheckedCommand(TyperCommand):
    """A command that is not run with a value that nothing after it can use. Raises `InvalidArgument`."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        for parameter in self.params:
            given = ctx.params.get(str(parameter.name))
            for value in given if isinstance(given, list | tuple) else (given,):
                if (problem := _unusable(value)) is not None:
                    shown = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
                    raise InvalidArgument(
                        f"{shown or parameter.name}: {problem}", remedy=f"see `{ctx.command_path} --help`"
                    )
        return super().invoke(ctx)


def _unusable(value: object) -> str | None:
    if isinstance(value, float) and not abs(value) <= MAX_NUMBER:
        return f"{value} is not a number of seconds"
    text = str(value) if isinstance(value, str | PurePath) else ""
    # Arguments that are no UTF-8 arrive with lone surrogates.
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        return "it has a character that no text and no name may have"
    return None


class CommandGroup(typer.Typer):
    """The commands of a noun; a command may be a coroutine function."""

    def __init__(self) -> None:
        super().__init__(no_args_is_help=True, rich_markup_mode=None)

    def command(self, name: str | None = None, **options: Any) -> Callable[[Command], Command]:
        """Add a command, as typer does."""
        add = super().command(name, cls=CheckedCommand, **options)

        def register(function: Command) -> Command:
            add(run_async(function) if iscoroutinefunction(function) else function)
            return function

        return register


@dataclass(frozen=True)
class CommandReference:
    """A command, or a group of commands, as `module:attribute`, and its line in the help of the group above."""

    reference: str
    help: str


def load_command(name: str, command: CommandReference, inside: Mapping[str, CommandReference] | None = None) -> Any:
    """Import a command: a function with typer's annotations, or a `typer.Typer` of several, to which those `inside` are
    added."""
    module, _, attribute = command.reference.partition(":")
    try:
        loaded = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if not module.startswith(str(error.name)):
            raise
        raise CommandFailed(
            f"this installation does not have the command {name}: {module} is missing", remedy="run it in a checkout"
        ) from error
    if isinstance(loaded, typer.Typer):
        made: Any = get_group(loaded)
        for word, part in (inside or {}).items():
            made.add_command(load_command(word, part), word)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name, cls=CheckedCommand)(run_async(loaded) if iscoroutinefunction(loaded) else loaded)
        made = get_command(alone)
    made.name = name
    made.help = made.help or command.help
    return made


class LazyGroup(TyperGroup):
    """Lists its references without importing them; the one that is named on the command line is imported."""

    references: ClassVar[Mapping[str, CommandReference]] = {}
    inside: ClassVar[Mapping[str, Mapping[str, CommandReference]]] = {}
    """Commands that somebody else adds to one of these groups, by group and name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name, command in self.references.items():
            self.commands[name] = TyperCommand(name, help=command.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that `args` begin with."""
        if args and args[0] in self.references:
            self.commands[args[0]] = load_command(args[0], self.references[args[0]], self.inside.get(args[0]))
        return super().resolve_command(ctx, args)
