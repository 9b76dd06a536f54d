"""Who a collector is, and what it says of itself first on each stream."""

import os
from dataclasses import dataclass, field

from shmtel.policy.model import PolicyStatus
from shmtel.wire.frames import INSTANCE_ID_BYTES, Hello
from shmtel.wire.protocol import PROTOCOL_MAX, PROTOCOL_MIN
from shmtel_collector.regime import Regime


@dataclass(frozen=True, slots=True)
class Origin:
    """A process that serves one namespace of a host."""

    node: str
    host_id: str
    namespace: str
    epoch: int
    instance_id: bytes = field(default_factory=lambda: os.urandom(INSTANCE_ID_BYTES))

    def hello(self, regime: Regime, stream: int) -> Hello:
        """Return the first frame of a stream, the process's `stream`-th."""
        policy, rejected = regime.fleet, regime.rejected or PolicyStatus()
        return Hello(
            protocol_min=PROTOCOL_MIN,
            protocol_max=PROTOCOL_MAX,
            node=self.node,
            host_id=self.host_id,
            instance_id=self.instance_id,
            epoch=self.epoch,
            policy_version=policy.version,
            namespace=self.namespace,
            policy_origin=policy.origin,
            rejected_origin=rejected.origin,
            rejected_version=rejected.version,
            stream=stream,
        )
