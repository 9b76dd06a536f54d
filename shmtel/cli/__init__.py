"""The `shmtel` program: the only place that wires workers, collector and hub.

A verb is a file with a docstring and a click command named `command`; it is
loaded when it is called for. stdout is data, stderr is talk.

Rules:
- nothing imports this package;
- a verb imports what its extra brings inside its functions, so that help works
  in every install and a missing extra is said, not raised;
- a verb fails by CommandError, which is caught here and nowhere else.
"""

import sys

from shmtel.cli.errors import CommandError, ExitCode, missing_extra
from shmtel.errors import ConfigurationError, ShmtelError
from shmtel.safe_text import escaped


def main() -> None:
    """Run the program and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return the exit code."""
    try:
        return _dispatch(arguments)
    except CommandError as error:
        return _complain(str(error), error.exit_code)
    except ConfigurationError as error:
        return _complain(str(error), ExitCode.INVALID_CONFIGURATION)
    except ShmtelError as error:
        return _complain(str(error), ExitCode.FAILED)
    except ImportError as error:
        return _complain(missing_extra(arguments, error), ExitCode.USAGE)
    except BrokenPipeError:
        # The reader of our output left. The interpreter's own flush at exit
        # would complain once more, so it gets nothing to flush.
        sys.stdout = None
        return ExitCode.FAILED


def _dispatch(arguments: list[str]) -> int:
    from shmtel.cli.program import run_program

    code = run_program(arguments)
    sys.stdout.flush()
    return code


def _complain(message: str, exit_code: int) -> int:
    lines = [escaped(line) for line in message.split("\n")]
    print("shmtel:", "\n".join(lines), file=sys.stderr)
    return exit_code
