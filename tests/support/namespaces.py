"""Commands that start a program in a pid namespace of its own.

Its end is ours: what is left of the namespace dies with the command that made it.
"""

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child")
# The first process of a namespace is the kernel's darling: it cannot kill itself.
_NOT_THE_FIRST = ("sh", "-c", '"$@"; true', "sh")

OTHER_PIDS = (*UNSHARE, "--mount-proc", *_NOT_THE_FIRST)
OTHER_PIDS_OLD_PROC = (*UNSHARE, *_NOT_THE_FIRST)  # /proc shows those outside
