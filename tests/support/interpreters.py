"""Programs that make other interpreters in their process.

A program that begins with PRELUDE has `kinds`, how a subinterpreter can be made
here, and `run_in_new(kind, code)`, which raises if the code does.
"""

import sys

# Before 3.12 every subinterpreter shares the GIL.
KINDS = ("shared GIL",) if sys.version_info < (3, 12) else ("shared GIL", "own GIL")

PRELUDE = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    def make(kind):
        return interpreters.create("isolated" if kind == "own GIL" else "legacy")
else:
    import _xxsubinterpreters as interpreters
    def make(kind):
        return interpreters.create(isolated=kind == "own GIL")
def run_in(interpreter, code):
    failure = interpreters.run_string(interpreter, code)
    assert failure is None, failure
def run_in_new(kind, code):
    interpreter = make(kind)
    run_in(interpreter, code)
    interpreters.destroy(interpreter)
"""
