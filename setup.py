"""The C core. Everything else about the project is in pyproject.toml."""

from glob import glob

from setuptools import Extension, setup

CORE = Extension(
    "shmtel._ring",
    sources=sorted(glob("shmtel/csrc/*.c")),
    depends=sorted(glob("shmtel/csrc/*.h")),
    include_dirs=["shmtel/csrc"],
    extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-fno-plt"],
)

setup(ext_modules=[CORE])
