"""The fuzz targets, for a moment each: they build with clang, and find nothing."""

import pytest

from support.native_build import build

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.mark.parametrize("target", ["consumer", "changing", "encode", "decode"])
def test_a_fuzz_target_finds_nothing_at_once(target: str) -> None:
    """Started from its corpus it runs on in all its parts, and nothing breaks."""
    build("fuzz", f"TARGET={target}", "SECONDS=2")
