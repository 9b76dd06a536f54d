"""Health and reflection of a hub, asked by the official clients."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from shmtel.hub import Hub, probes
from shmtel.hub.handlers import EventBatch
from support.hubs import WAIT_S, running_hub
from support.processes import wait_until
from support.uplink import connected, make_segment

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("", "shmtel.v1.Uplink", "shmtel.v1.Control")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Run a hub that looks at itself often."""
    monkeypatch.setattr(probes, "LOOK_S", 0.02)
    with running_hub(max_collectors=1) as hub:
        yield hub


@pytest.fixture
def channel(hub: Hub) -> Iterator[grpc.Channel]:
    """Connect to it."""
    with grpc.insecure_channel(hub.address) as channel:
        yield channel


def _check(channel: grpc.Channel, service: str) -> Any:
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=WAIT_S).status


def _watch(channel: grpc.Channel, service: str = "") -> Any:
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Watch(request, timeout=3 * WAIT_S)


def _break(hub: Hub) -> None:
    """Have a handler raise that the hub does not run without."""

    def fail(_batch: EventBatch, _config: object) -> None:
        raise OSError("disk full")

    hub.attach_batch("sink", "*", fail, required=True)
    with connected(hub.address) as collector:
        collector.send(make_segment(0, 1, collector.open()))
        collector.wait_over()


def test_health_is_readiness(hub: Hub, channel: grpc.Channel) -> None:
    """Of the server, and of each service of ours; of others nothing is known."""
    assert hub.readiness().is_ready
    assert [_check(channel, service) for service in SERVICES] == [SERVING] * 3
    with pytest.raises(grpc.RpcError) as refused:
        _check(channel, "other.Service")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    _break(hub)
    assert not hub.readiness().is_ready
    assert [_check(channel, service) for service in SERVICES] == [NOT_SERVING] * 3


@pytest.mark.skipif(
    not hasattr(health_pb2, "HealthListRequest"), reason="releases for protobuf 5"
)
def test_all_at_once(channel: grpc.Channel) -> None:
    """Newer clients ask for a list."""
    request = health_pb2.HealthListRequest()
    answer = health_pb2_grpc.HealthStub(channel).List(request, timeout=WAIT_S)
    found = {name: status.status for name, status in answer.statuses.items()}
    assert found == dict.fromkeys(SERVICES, SERVING)


def test_who_watches_is_told_of_each_change(hub: Hub, channel: grpc.Channel) -> None:
    """And of nothing else; the last word is that the hub serves no more."""
    watch, stranger = _watch(channel), _watch(channel, "other.Service")
    assert next(watch).status == SERVING
    unknown = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    assert next(stranger).status == unknown
    _break(hub)
    assert next(watch).status == NOT_SERVING
    hub.stop()
    assert list(watch) == list(stranger) == []


def test_a_hub_that_ends_lets_watchers_go(hub: Hub, channel: grpc.Channel) -> None:
    """They need no deadline of the hub's to be over."""
    watch = _watch(channel)
    assert next(watch).status == SERVING
    hub.stop()
    assert [answer.status for answer in watch] == [NOT_SERVING]
    assert watch.code() is grpc.StatusCode.OK


def test_watchers_take_no_room_of_collectors(hub: Hub, channel: grpc.Channel) -> None:
    """Beyond their own they are refused and counted; when one leaves there is room."""
    watches = [_watch(channel) for _ in range(probes.PROBES_MAX)]
    assert all(next(watch).status == SERVING for watch in watches)
    refused = [_watch(channel) for _ in range(60)]  # more than the hub has calls
    codes = {_code(watch) for watch in refused}
    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert hub.stats().refused_probes > 0
    with connected(hub.address) as collector:
        assert collector.open()
    assert _check(channel, "") == SERVING
    watches[0].cancel()
    assert wait_until(lambda: _is_let_in(channel), WAIT_S)


def _code(watch: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError):
        next(watch)
    code: grpc.StatusCode = watch.code()
    return code


def _is_let_in(channel: grpc.Channel) -> bool:
    watch = _watch(channel)
    try:
        return bool(next(watch).status == SERVING)
    except grpc.RpcError:
        return False
    finally:
        watch.cancel()


def test_reflection_tells_what_is_served(channel: grpc.Channel) -> None:
    """A tool without our files finds every service, method and message."""
    database = ProtoReflectionDescriptorDatabase(channel)
    services = set(database.get_services())
    assert services == {*SERVICES[1:], probes.HEALTH, probes.REFLECTION}
    pool = DescriptorPool(database)
    for name in services:
        assert pool.FindServiceByName(name).methods
    ledger = pool.FindServiceByName("shmtel.v1.Control").methods_by_name["Ledger"]
    assert ledger.input_type.full_name == "shmtel.v1.LedgerRequest"


@pytest.mark.parametrize(
    "method", [f"{probes.HEALTH}/Check", f"{probes.HEALTH}/Watch", probes.REFLECTION]
)
def test_a_broken_request_is_answered(channel: grpc.Channel, method: str) -> None:
    """It is the peer's fault, and is called so."""
    if method == probes.REFLECTION:
        call = channel.stream_stream(f"/{method}/ServerReflectionInfo")
        answers = call(iter([b"\xff"]), timeout=WAIT_S)
    else:
        answers = channel.unary_stream(f"/{method}")(b"\xff", timeout=WAIT_S)
    with pytest.raises(grpc.RpcError) as refused:
        list(answers)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
