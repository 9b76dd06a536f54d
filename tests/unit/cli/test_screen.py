"""The demonstration's table and the terminal it is drawn on."""

import io

from shmtel.cli.demonstration.screen import Row, Screen, table

_ROW = Row("parser-7", "alive", 3, 120, 59.6, sampled_out=0, dropped=1)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_table_ends_with_the_sums() -> None:
    """Every count is summed below the workers."""
    lines = table([_ROW, _ROW])
    assert lines[0].split()[0] == "WORKER"
    assert lines[1].split() == ["parser-7", "alive", "3", "120", "60", "0", "1"]
    assert lines[-1].split() == ["all", "6", "240", "119", "0", "2"]


def test_a_file_gets_no_control_characters() -> None:
    """Off a terminal nothing is drawn over."""
    stream = io.StringIO()
    screen = Screen(stream)
    screen.show([_ROW])
    screen.say("a line")
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().endswith("a line\n")


def test_a_terminal_s_table_is_erased_by_what_follows() -> None:
    """A line that is said takes the table's place, and the table moves down."""
    terminal = _Terminal()
    screen = Screen(terminal)
    screen.show([_ROW])
    before = len(terminal.getvalue())
    screen.say("a line")
    after = terminal.getvalue()[before:]
    assert after.count("\x1b[1A") == len(table([_ROW]))
    assert after.index("a line") < after.index("parser-7")


def test_a_table_that_was_left_stays() -> None:
    """After the last drawing nothing is erased any more."""
    terminal = _Terminal()
    screen = Screen(terminal)
    screen.show([_ROW])
    screen.leave_table()
    before = len(terminal.getvalue())
    screen.say("a line")
    assert terminal.getvalue()[before:] == "a line\n"
