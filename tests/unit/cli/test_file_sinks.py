"""The options of files."""

import click
import pytest
from click.testing import CliRunner

from shmtel.cli import hub as hub_verb
from shmtel.cli import run


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--jsonl-max", "1KiB"), "name it with --jsonl"),
        (("--jsonl", "x", "--jsonl-keep", "3"), "need --jsonl-max or --jsonl-every"),
        (("--jsonl", "x", "--jsonl-gzip"), "need --jsonl-max or --jsonl-every"),
        (("--parquet-max", "1MiB"), "--parquet-max needs --parquet"),
        (("--parquet-every", "1h"), "--parquet-every needs --parquet"),
        (("--otlp-protocol", "grpc"), "--otlp-protocol needs --otlp"),
    ],
)
def test_options_that_need_others(
    options: tuple[str, ...],
    said: str,
    tmp_path: object,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are refused with those, before anything is opened."""
    where = ("--listen", "unix:/none/hub.sock", "--state-dir", str(tmp_path))
    assert run(["hub", *where, "--http", "off", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [("--jsonl-max", "much"), ("--jsonl-every", "0s"), ("--parquet-max", "")]
)
def test_values_that_are_none(options: tuple[str, ...]) -> None:
    """They are refused with how to write them."""
    assert isinstance(hub_verb.command, click.Command)
    assert CliRunner().invoke(hub_verb.command, options).exit_code == 2
