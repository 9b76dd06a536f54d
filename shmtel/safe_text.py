"""Foreign text made harmless, for terminals, logs, labels and lines of a file.

What a worker or a peer has named may hold anything: commands to a terminal, the end
of a line, as some readers see it (U+0085, U+2028), marks that turn the direction of
a line, halves of characters that no encoding knows. Where such text leaves these
programs, it goes through here.

Rules:
- what cannot be printed never passes, whatever it is; a space can;
- text that is harmless already is passed on as it is, and costs one look.
"""

import json
import re

LABEL_MAX = 128  # characters of what tells series of a metric apart
OTHER = "(other)"  # the label of all for which there is no room
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# In UTF-8: the end of ASCII, the control characters behind it, ends of lines, and what
# turns the direction of a line (U+061C, U+200E, U+200F, U+202A to E, U+2066 to 9).
_CONTROLS = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)


def replaced(text: str) -> str:
    """Put a mark in place of each character that cannot be printed."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _REPLACEMENT for c in text)


def label(text: str) -> str:
    """Make a name that comes from a worker or a peer fit for a label."""
    return replaced(text[:LABEL_MAX])


def escaped(text: str, length_max: int | None = None) -> str:
    r"""Write out what cannot be printed, as `\x1b`, and cut what is too long."""
    if length_max is not None:
        text = text[: length_max + 1]  # one more, to see that it goes on
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _escape(c) for c in text)
    if length_max is not None and len(text) > length_max:
        return f"{text[:length_max]}..."
    return text


def json_text(text: str) -> str:
    """Escape in a JSON document what cannot be printed; its own lines stay."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text
    )


def json_bytes(data: bytes) -> bytes:
    """Escape in JSON lines what a terminal or a reader could take for more than text.

    What is below the space is escaped by every encoder of JSON.
    """
    if data.isascii() and b"\x7f" not in data:
        return data
    return _CONTROLS.sub(lambda found: _json_escape(found.group()), data)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _json_escape(character: bytes) -> bytes:
    return b"\\u%04x" % ord(character.decode())
