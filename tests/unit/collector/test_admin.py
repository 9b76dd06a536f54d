"""The socket of a host's operators: whose it is, and what it answers."""

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import grpc
import grpc.aio
import pytest

from shmtel.policy.model import Rule, Sampling, Selector, Toggle
from shmtel.policy.verdicts import Verdict
from shmtel.wire import control, control_codec
from shmtel.wire.control import ChangeRequest, SetRule
from shmtel_collector.admin import Admin, AdminError, prepare
from shmtel_collector.operators import Operators
from support.emitter import Emitter
from support.memory_line import MemoryLine

StartWorker = Callable[..., Emitter]
OFF = Rule(Selector("w"), Toggle(False))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket is to be."""
    return tmp_path / "run" / "ns.sock"


@pytest.fixture
def operators(line: MemoryLine) -> Operators:
    """The service of a collector."""
    return Operators(line.steering, line.enforcement, "node", "host")


def _ask(path: Path, method: str, request: bytes, operators: Operators) -> bytes:
    """Call a method over the real socket."""

    async def ask() -> bytes:
        admin = Admin(path, operators.methods())
        await admin.open()
        try:
            async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
                call = channel.unary_unary(control.method_path(method))
                answer: bytes = await call(request, timeout=10)
                return answer
        finally:
            await admin.close()

    return asyncio.run(ask())


def test_change_acts_and_says_who_has_it(
    line: MemoryLine, operators: Operators, path: Path, start_worker: StartWorker
) -> None:
    """When the call returns the words are stored."""
    worker = start_worker(SHMTEL_WORKER_ID="w")
    worker.emit(1)
    start_worker(SHMTEL_WORKER_ID="other").emit(1)
    line.connect()
    request = control_codec.encode_change_request(ChangeRequest(SetRule(OFF)))
    answer = _ask(path, control.CHANGE_POLICY, request, operators)
    report = control_codec.decode_change_report(answer)
    assert (report.origin, report.version) == ("local", 1)
    (host,) = report.hosts
    assert (host.node, host.host_id) == ("node", "host")
    assert host.status is not None
    assert [result.traits.worker for result in host.status.workers] == ["w"]
    before = line.hub.rings[worker.ring_id()].position.last_seq
    worker.emit(5)
    line.step()
    assert line.hub.rings[worker.ring_id()].position.last_seq == before


def test_rules_workers_and_reasons_are_shown(
    line: MemoryLine, operators: Operators, path: Path, start_worker: StartWorker
) -> None:
    """Layers, one line per worker, and for each name what set its word."""
    start_worker(SHMTEL_WORKER_ID="w").emit(3, "a.b")
    line.connect()
    line.steering.change_overlay(
        ChangeRequest(SetRule(Rule(Selector(), Sampling(0.0, ("a.*",)))), overlay="x")
    )
    answer = _ask(path, control.GET_POLICY, b"", operators)
    layers = control_codec.decode_policy_report(answer).layers
    assert [layer.name for layer in layers] == ["fleet", "x"]
    answer = _ask(path, control.LIST_WORKERS, b"", operators)
    (listed,) = control_codec.decode_list_workers_response(answer)
    assert (listed.worker.worker_id, listed.last_seq) == ("w", 3)
    assert listed.totals == {0: 3}
    request = control_codec.encode_explain_request("w*")
    answer = _ask(path, control.EXPLAIN_POLICY, request, operators)
    (explained,) = control_codec.decode_explanations(answer)
    (rule,) = layers[1].rules
    assert explained.events == {"a.b": Verdict(0xFFFFFFFE, "x", rule)}
    assert explained.enabled.layer == ""
    request = control_codec.encode_explain_request("none")
    assert not control_codec.decode_explanations(
        _ask(path, control.EXPLAIN_POLICY, request, operators)
    )


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (b"\xff\xff", "no message"),
        (b"", "without a change"),
        (
            control_codec.encode_change_request(
                ChangeRequest(SetRule(Rule(Selector(), Sampling(7.0))))
            ),
            "a sampling rate is between 0 and 1",
        ),
    ],
)
def test_wrong_request_is_answered_with_the_reason(
    operators: Operators, path: Path, request_: bytes, text: str
) -> None:
    """Whatever comes in over the socket, the answer says what is wrong with it."""
    with pytest.raises(grpc.RpcError, match=text) as caught:
        _ask(path, control.CHANGE_POLICY, request_, operators)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_socket_is_for_one_user_and_goes_with_its_server(
    operators: Operators, path: Path
) -> None:
    """Directory 0700, socket 0600, and nothing is left."""

    async def look() -> None:
        admin = Admin(path, operators.methods())
        await admin.open()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        await admin.close()
        await admin.close()
        assert not path.exists()

    asyncio.run(look())


def test_socket_of_a_killed_collector_is_replaced(
    operators: Operators, path: Path
) -> None:
    """A socket that nobody listens at is no obstacle."""
    path.parent.mkdir(mode=0o700)
    with closing(socket.socket(socket.AF_UNIX)) as stale:
        stale.bind(str(path))
    assert _ask(path, control.GET_POLICY, b"", operators)


def test_socket_that_is_in_use_is_left_alone(path: Path) -> None:
    """Two collectors at one path do not take it from each other."""
    path.parent.mkdir(mode=0o700)
    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(AdminError, match="somebody listens"):
            prepare(path)
    assert path.exists()


def test_what_is_no_socket_is_left_alone(path: Path) -> None:
    """A file under that name is somebody's."""
    path.parent.mkdir(mode=0o700)
    path.write_text("precious")
    with pytest.raises(AdminError, match=r"is no socket; .*--socket"):
        prepare(path)
    assert path.read_text() == "precious"


def _give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make something another user's; only the superuser can do it in earnest."""
    if os.getuid() == 0:
        os.lchown(path, 12345, 12345)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)


def test_directory_of_another_user_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can make a directory in /tmp; a socket there would be theirs."""
    path.parent.mkdir(mode=0o700)
    _give_away(path.parent, monkeypatch)
    with pytest.raises(AdminError, match=r"not a directory of this user; .*--socket"):
        prepare(path)


def test_directory_that_others_may_write_to_is_refused(path: Path) -> None:
    """They could put a socket of their own in its place."""
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(AdminError, match="others may write"):
        prepare(path)


def test_link_of_another_user_is_refused(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it leads to is for its owner to say."""
    (tmp_path / "real").mkdir(mode=0o700)
    path.parent.symlink_to(tmp_path / "real")
    _give_away(path.parent, monkeypatch)
    with pytest.raises(AdminError, match="not a directory of this user"):
        prepare(path)


def test_path_that_is_too_long_names_the_cure(tmp_path: Path) -> None:
    """The kernel's limit is short, and its own error says nothing."""
    with pytest.raises(AdminError, match=r"takes 107; .*--socket"):
        prepare(tmp_path / ("x" * 100) / "ns.sock")


def test_place_that_cannot_be_made_names_the_cure(tmp_path: Path) -> None:
    """A file where the directory should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(AdminError, match=r"cannot open the socket .*--socket"):
        prepare(tmp_path / "file" / "ns.sock")
