"""The `Control` service of a collector: what operators of this host ask.

Changes go into an overlay and act at once, so there is nothing to wait for: the
answer says which workers have it. The rings of collectors are no workers.

Rules:
- bytes in, bytes out; whoever serves them maps our errors to its own.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase

from shmtel.policy.rules import PolicyError
from shmtel.wire import control, control_codec
from shmtel.wire.limits import fitted
from shmtel_collector import settlement
from shmtel_collector.enforcement import Enforcement
from shmtel_collector.ring import Ring
from shmtel_collector.steering import Steering

EXPLAINED_MAX = 256  # workers at once


class Operators:
    """Answers from the rules in force and the rings of this host."""

    def __init__(
        self, steering: Steering, enforcement: Enforcement, node: str, host_id: str
    ) -> None:
        self._steering = steering
        self._enforcement = enforcement
        self._node = node
        self._host_id = host_id

    def methods(self) -> dict[str, Callable[[bytes], bytes]]:
        """Return the calls by their name in the service."""
        return {
            control.CHANGE_POLICY: self.change,
            control.GET_POLICY: self.get_policy,
            control.EXPLAIN_POLICY: self.explain,
            control.LIST_WORKERS: self.list_workers,
        }

    def change(self, data: bytes) -> bytes:
        """Change an overlay."""
        request = control_codec.decode_change_request(data)
        overlay, status = self._steering.change_overlay(request)
        host = control.HostReport(self._node, self._host_id, fitted(status))
        report = control.ChangeReport(
            overlay.origin, overlay.version, (host,), status.duration_ns
        )
        return control_codec.encode_change_report(report)

    def get_policy(self, _data: bytes) -> bytes:
        """Return the rules by layer, and what this host has made of them."""
        regime, status = self._steering.regime, fitted(self._steering.status())
        host = control.HostReport(self._node, self._host_id, status)
        report = control.PolicyReport(
            regime.fleet.origin, regime.fleet.version, regime.layers(), (host,)
        )
        return control_codec.encode_policy_report(report)

    def explain(self, data: bytes) -> bytes:
        """Explain what is in force for the workers whose ids match."""
        glob = control_codec.decode_explain_request(data)
        rings = [
            ring
            for ring in self._steering.workers()
            if fnmatchcase(ring.worker.worker_id, glob)
        ]
        if len(rings) > EXPLAINED_MAX:
            raise PolicyError(
                0, f"{len(rings)} workers match; at most {EXPLAINED_MAX} are explained"
            )
        return control_codec.encode_explanations(map(self._explanation, rings))

    def list_workers(self, _data: bytes) -> bytes:
        """List the workers of this host."""
        rings = self._steering.workers()
        return control_codec.encode_list_workers_response(map(self._listed, rings))

    def _explanation(self, ring: Ring) -> control.Explanation:
        verdicts = self._enforcement.verdicts_of(ring)
        return control.Explanation(
            node=self._node,
            worker=ring.worker,
            ring_id=ring.ring_id,
            enabled=verdicts.enabled,
            other=verdicts.other,
            events=verdicts.events,
            note=self._enforcement.result_of(ring).failure,
        )

    def _listed(self, ring: Ring) -> control.WorkerStatus:
        return control.WorkerStatus(
            node=self._node,
            worker=ring.worker,
            ring_id=ring.ring_id,
            last_seq=ring.source.settled_seq,
            totals=settlement.to_table(ring.source.totals),
            is_closed=False,
        )
