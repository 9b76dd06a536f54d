"""How a verb fails: exit codes, and the extra that a missing module belongs to."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Documented in docs/reference/cli.md; scripts rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_PERMISSION = 4
    NOT_REACHABLE = 5
    INVALID_CONFIGURATION = 6
    NO_ANSWER = 7
    CHECK_FAILED = 8
    NOT_EXECUTABLE = 126
    NO_SUCH_PROGRAM = 127
    INTERRUPTED = 130


class CommandError(Exception):
    """A verb cannot do what it was asked; the text says why, and the cure."""

    def __init__(self, message: str, exit_code: int = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


# Which extra brings what a verb needs. `all` where it takes both.
EXTRAS = {
    "catalog": "collector",
    "collector": "collector",
    "crash": "collector",
    "ctl": "collector",
    "demo": "all",
    "export": "hub",
    "gc": "collector",
    "hub": "hub",
    "ledger": "collector",
    "run": "all",
    "stat": "collector",
    "tail": "collector",
}
_MODULES = frozenset(
    {"click", "google", "grpc", "msgspec", "prometheus_client", "psutil"}
    | {"grpc_health", "grpc_reflection", "pyarrow", "starlette", "uvicorn"}
)
_OWN_EXTRAS = {"pyarrow": "parquet"}  # what only an option of a verb needs


def missing_extra(arguments: list[str], error: ImportError) -> str:
    """Say which extra the asked verb needs.

    Raises:
        ImportError: what is missing is none of an extra's modules, so it is a
            defect and not a smaller installation.
    """
    # A package that explains what it lacks raises an error of its own.
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    module = (cause.name or "").partition(".")[0]
    if module not in _MODULES:
        raise error
    verb = next((word for word in arguments if word in EXTRAS), None)
    subject = f"`shmtel {verb}`" if verb else "the `shmtel` program"
    extra = EXTRAS[verb] if verb else "all"
    extra = _OWN_EXTRAS.get(module, extra)
    return f'{subject} needs {module}; install it with: pip install "shmtel[{extra}]"'
