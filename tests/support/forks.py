"""The ways in which a process forks, as expressions of a program that imports os."""

# fork() called from C, so that no hook of Python's runs in the child.
_C_FORK = "__import__('ctypes').PyDLL(None).fork()"

# The bare system call: neither Python's hooks nor pthread_atfork's run.
_RAW_FORK = (
    "__import__('ctypes').PyDLL(None).syscall("
    "{'x86_64': 56, 'aarch64': 220}[os.uname().machine], 17, 0, 0, 0, 0)"
)

FORKS = {"os": "os.fork()", "c": _C_FORK, "raw": _RAW_FORK}
