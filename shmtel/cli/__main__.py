"""`python -m shmtel.cli`: the program by the interpreter that runs it.

Child processes are started this way, so that they find the same installation
whatever PATH says.
"""

from shmtel.cli import main

main()
