"""A screen that several threads write to."""

import io

from shmtel.cli.screen import Screen

UP = "\x1b[1A\x1b[2K"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_said_stays_above_what_is_shown() -> None:
    """The table is erased, the line takes its place, and the table moves down."""
    terminal = _Terminal()
    screen = Screen(terminal)
    screen.show(["a", "b"])
    screen.say("said")
    screen.show(["c"])
    assert terminal.getvalue() == f"a\nb\n{UP * 2}said\na\nb\n{UP * 2}c\n"


def test_what_was_left_stays() -> None:
    """Nothing is erased any more, and nothing drawn again."""
    terminal = _Terminal()
    screen = Screen(terminal)
    screen.show(["a"])
    screen.leave()
    screen.say("said")
    assert terminal.getvalue() == "a\nsaid\n"


def test_a_file_gets_no_control_characters() -> None:
    """What is shown again stands below an empty line."""
    file = io.StringIO()
    screen = Screen(file)
    screen.show(["a"])
    screen.show(["b"])
    screen.say("said")
    assert file.getvalue() == "a\n\nb\nsaid\n"
