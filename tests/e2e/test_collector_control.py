"""Control of a host as its operators see it: real collector, workers and hub."""

from functools import partial
from pathlib import Path

import pytest

from shmtel_collector.ledger import Ledger
from support.collector_process import CollectorProcess, NotingHub
from support.emitter import Emitter
from support.processes import wait_until
from support.program import shmtel

NOBODY = "127.0.0.1:1"
_wait = partial(wait_until, seconds=30.0)  # programs start slowly on a busy machine


class Events(NotingHub):
    """A hub that also notes the names of events by worker."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, list[str]] = {}
        self.hub.attach_batch("names", "*", self._note_names)

    def of(self, worker: str) -> list[str]:
        """Return what has arrived of a worker."""
        return self.names.get(worker, [])

    def _note_names(self, batch: object, config: object) -> None:
        names = self.names.setdefault(batch.worker.worker_id, [])  # type: ignore[attr-defined]
        names += [batch.names[r.event_id] for r in batch.records]  # type: ignore[attr-defined]


def _settled(collector: CollectorProcess) -> Ledger:
    ledger = collector.wait_quiet()
    assert ledger.total.unaccounted == 0
    return ledger


def _wait_for_socket(collector: CollectorProcess) -> None:
    _wait(lambda: collector.ctl("show").returncode == 0)


def test_late_worker_and_new_names_obey_at_once(namespace: str, tmp_path: Path) -> None:
    """Nothing denied, and nothing of a rate of 0, arrives from the first event on."""
    with (
        Events() as hub,
        CollectorProcess(namespace, hub.hub.address, tmp_path) as collector,
    ):
        _wait_for_socket(collector)
        hub.hub.update_filter("*", deny=["secret.*"])
        hub.hub.update_sampling("*", 0.0, ["noise.*"])
        _wait(lambda: "secret" in collector.ctl("show").stdout)
        with Emitter(namespace, SHMTEL_WORKER_ID="late") as worker:
            for event in ("secret.one", "noise.one", "good.one", "secret.two"):
                worker.emit(3, event)
            _wait(lambda: len(hub.of("late")) >= 3)
            ledger = _settled(collector)
        assert hub.of("late") == ["good.one"] * 3
        (account,) = [r.account for r in ledger.rings if r.worker_id == "late"]
        left_out = account.filtered_by_collector + account.sampled_out_by_collector
        assert left_out + account.filtered + account.sampled_out == 9


def test_restart_without_a_hub_keeps_rules_and_deadlines(
    namespace: str, tmp_path: Path
) -> None:
    """Policy and overlay are in force again; the overlay ends by itself."""
    with (
        Emitter(namespace, SHMTEL_WORKER_ID="w") as worker,
        CollectorProcess(namespace, NOBODY, tmp_path) as collector,
    ):
        _wait_for_socket(collector)
        worker.emit(1)
        done = collector.ctl("toggle", "off", "--for", "10s", "--overlay", "night")
        assert done.returncode == 0, done.stderr
        collector.kill()
        collector.start()
        _wait_for_socket(collector)
        shown = collector.ctl("show").stdout
        assert "night" in shown
        before = collector.ledger().total.committed
        worker.emit(10)
        assert collector.ledger().total.committed == before

        def is_on_again() -> bool:
            worker.emit(1)
            return collector.ledger().total.committed > before

        _wait(is_on_again)
        assert "night" not in collector.ctl("show").stdout


def test_fleet_policy_outlives_hub_and_collector(
    namespace: str, tmp_path: Path
) -> None:
    """With the hub gone, a new collector has the policy before it drains."""
    with Emitter(namespace, SHMTEL_WORKER_ID="w") as worker:
        with NotingHub() as hub:
            address = hub.hub.address
            with CollectorProcess(namespace, address, tmp_path) as collector:
                _wait_for_socket(collector)
                hub.hub.update_filter("*", deny=["secret.*"])
                _wait(lambda: "secret" in collector.ctl("show").stdout)
        worker.emit(5, "secret.one")
        with CollectorProcess(namespace, NOBODY, tmp_path) as collector:
            _wait_for_socket(collector)
            worker.emit(5, "secret.two")
            assert "secret" in collector.ctl("show").stdout
        with (
            NotingHub() as hub,
            CollectorProcess(namespace, hub.hub.address, tmp_path) as collector,
        ):
            worker.emit(1, "good.one")
            _wait(lambda: hub.count() >= 1)
            ledger = _settled(collector)
        (account,) = [r.account for r in ledger.rings if r.worker_id == "w"]
        assert account.filtered + account.filtered_by_collector == 10


def test_guard_wins_over_hub_and_overlay(namespace: str, tmp_path: Path) -> None:
    """What the configuration forbids nobody can allow, from here or from afar."""
    config = '[guard]\ndeny = ["secret.*"]\n'
    with (
        Events() as hub,
        CollectorProcess(namespace, hub.hub.address, tmp_path, config) as collector,
        Emitter(namespace, SHMTEL_WORKER_ID="w") as worker,
    ):
        _wait_for_socket(collector)
        hub.hub.update_filter("*", allow=["secret.*", "good.*"])
        done = collector.ctl("filter", "--allow", "*", "--wait")
        assert done.returncode == 0, done.stderr
        worker.emit(5, "secret.one")
        worker.emit(5, "good.one")
        _wait(lambda: len(hub.of("w")) >= 5)
        _settled(collector)
        assert set(hub.of("w")) == {"good.one"}


def test_every_change_is_an_event(namespace: str, tmp_path: Path) -> None:
    """They arrive like the events of workers, and the own ring ends in order."""
    with (
        Events() as hub,
        CollectorProcess(
            namespace, hub.hub.address, tmp_path, "[guard]\nmax_rate = 0.5\n"
        ) as collector,
    ):
        _wait_for_socket(collector)
        hub.hub.update_sampling("*", 0.1)
        _wait(lambda: "0.1" in collector.ctl("show").stdout)
        collector.ctl("toggle", "off", "--for", "1s")
        expected = ["guard.loaded", "policy.applied", "overlay.changed"]
        _wait(lambda: hub.of("collector") == [*expected, "policy.expired"])
        assert collector.stop()[0] == 0
        (ring,) = collector.ledger().rings
        assert (ring.worker_id, ring.pool_name, ring.state) == (
            "collector",
            "shmtel",
            "closed",
        )
        assert collector.ledger().total.unaccounted == 0


def test_events_of_a_killed_collector_are_the_next_ones(
    namespace: str, tmp_path: Path
) -> None:
    """Its ring is drained by its successor, and no policy acts on it."""
    with CollectorProcess(namespace, NOBODY, tmp_path) as collector:
        _wait_for_socket(collector)
        collector.ctl("toggle", "off")
        collector.kill()
        with Events() as hub:
            collector = CollectorProcess(namespace, hub.hub.address, tmp_path)
            with collector:
                _wait(lambda: hub.of("collector"))
                assert hub.of("collector") == ["overlay.changed"]
                _wait(
                    lambda: (
                        [ring.state for ring in collector.ledger().rings]
                        == ["vanished"]
                    )
                )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[guard]\nmax_rat = 1", "did you mean 'max_rate'"),
        ("hub = [", "is not TOML"),
        ("namespace = 'a b'", "namespace 'a b' is refused"),
    ],
)
def test_wrong_configuration_stops_the_start(
    namespace: str, tmp_path: Path, content: str, text: str
) -> None:
    """Exit code 6, and one line that names the file and the cure."""
    path = tmp_path / "collector.toml"
    path.write_text(content)
    done = shmtel("collector", "--namespace", namespace, SHMTEL_CONFIG=str(path))
    assert done.returncode == 6
    assert text in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def test_flag_then_variable_then_file(namespace: str, tmp_path: Path) -> None:
    """The file gives what neither a flag nor a variable does."""
    config = f'hub = "file:1"\nnamespace = "{namespace}"\n'
    path, state = tmp_path / "c.toml", tmp_path / "file"
    path.write_text(config)
    state.write_text("in the way")

    def said(*flags: str, **variables: str) -> str:
        done = shmtel("collector", "--config", str(path), *flags, **variables)
        assert done.returncode == 1
        return done.stderr

    assert f"{state}/flag" in said("--state-dir", f"{state}/flag")
    assert f"{state}/variable" in said(SHMTEL_STATE_DIR=f"{state}/variable")
    path.write_text(f'{config}state_dir = "{state}/file"\n')
    assert f"{state}/file" in said()
    assert f"{state}/variable" in said(SHMTEL_STATE_DIR=f"{state}/variable")


def test_socket_that_cannot_be_opened_is_a_warning(
    namespace: str, tmp_path: Path
) -> None:
    """Telemetry flows without it."""
    with NotingHub() as hub, Emitter(namespace) as worker:
        collector = CollectorProcess(namespace, hub.hub.address, tmp_path)
        collector.socket.write_text("in the way")
        with collector:
            worker.emit(5)
            _wait(lambda: hub.count() == 5)
            assert "--socket" in collector.log()
            assert "Traceback" not in collector.log()


def test_socket_is_gone_after_the_end(namespace: str, tmp_path: Path) -> None:
    """A clean end leaves nothing; after a kill the next one takes over."""
    with CollectorProcess(namespace, NOBODY, tmp_path) as collector:
        _wait_for_socket(collector)
        collector.kill()
        assert collector.socket.exists()
        collector.start()
        _wait_for_socket(collector)
        assert collector.stop()[0] == 0
        assert not collector.socket.exists()
