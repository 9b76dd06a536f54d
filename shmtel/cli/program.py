"""The root command: finds its verbs by file, and loads one when it is asked for."""

from importlib import import_module, metadata

import click

from shmtel.cli.errors import EXTRAS, CommandError, ExitCode


class Verbs(click.Group):
    """A group whose commands are the modules that EXTRAS names."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the verbs in the order of help."""
        return sorted(EXTRAS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Load the module of a verb and return its command."""
        if name not in EXTRAS:
            return None
        command = import_module(f"shmtel.cli.{name}").command
        assert isinstance(command, click.Command)
        return command


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("shmtel"), prog_name="shmtel")
def program() -> None:
    """Telemetry out of Python workers through shared memory."""


def run_program(arguments: list[str]) -> int:
    """Run a command line; return the exit code that its verb returned."""
    try:
        result = program.main(arguments, prog_name="shmtel", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        raise CommandError("interrupted", ExitCode.INTERRUPTED) from error
    return int(result or 0)
