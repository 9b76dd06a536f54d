"""A file of rules, as `shmtel ctl apply` reads it: TOML with a list `rules`."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from shmtel.cli.errors import CommandError, ExitCode
from shmtel.errors import ConfigurationError

if TYPE_CHECKING:
    from shmtel.policy.model import Rule

_MAX_BYTES = 4 << 20


def read_rules(path: Path) -> "tuple[Rule, ...]":
    """Read a list of rules.

    Raises:
        CommandError: it cannot be read, or is none; the text names file and rule.
    """
    from shmtel.policy.tables import refuse_unknown, rule_of_table

    document = _load(path)
    rules: list[Rule] = []
    where = str(path)
    try:
        refuse_unknown(document, ("rules",))
        for table in _tables(document):
            where = f"{path}: rule {len(rules) + 1}"
            rules.append(rule_of_table(table))
    except ConfigurationError as error:
        raise CommandError(f"{where}: {error}", ExitCode.USAGE) from error
    return tuple(rules)


def _load(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
        return tomllib.loads(data.decode())
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # of TOML, and of UTF-8
        raise CommandError(f"{path} is no TOML: {error}", ExitCode.USAGE) from error


def _tables(document: dict[str, object]) -> list[object]:
    tables = document.get("rules")
    if not isinstance(tables, list):
        raise ConfigurationError(
            "it holds no list of rules; write each as a table [[rules]], and"
            " `rules = []` for none"
        )
    return tables
