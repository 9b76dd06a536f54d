"""Both roles of the uplink over a transport that is cut at any moment."""

import pytest
from hypothesis import Phase, settings

from support.uplink_machine import UplinkMachine

TestUplink = pytest.mark.timeout(60)(UplinkMachine.TestCase)
TestUplink.settings = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
)
