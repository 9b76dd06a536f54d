"""What the daemons expose, judged by Prometheus' own tool."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from support.fleet_scene import FleetScene
from support.http import get
from support.program import fresh_namespace

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetScene]:
    """A line that has counted something of everything."""
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace())
        yield FleetScene(stack, namespace, tmp_path_factory.mktemp("scene"))


def test_promtool_finds_no_fault(scene: FleetScene) -> None:
    """Names, kinds and help texts are as Prometheus wants them, of both ends."""
    scene.wait_until_told()
    for url in (scene.collector_url(), scene.hub_url):
        judged = subprocess.run(
            ["promtool", "check", "metrics"],
            input=get(f"{url}/metrics").text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")
