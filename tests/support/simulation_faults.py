"""What goes wrong in a simulation. Each fault draws how, and how long.

Rules: what a fault breaks heals by itself, within seconds of simulated time.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from shmtel.hub.fleet import Fleet
from shmtel.wire.codec import encode_collector_frame
from shmtel.wire.frames import Hello
from shmtel.wire.protocol import Position
from support.wire_hub import Key
from support.wire_rings import Flaw

if TYPE_CHECKING:
    from support.simulation import Simulation
    from support.simulation_host import Link

_MILLISECOND = 1_000_000
_NEWER_FRAME = b"\xfa\x01\x01x"  # member 31 of the oneof, which nobody knows


def cut(world: "Simulation") -> None:
    """Break a connection, with what is under way in either direction or in none."""
    link = _any_link(world)
    if link is not None:
        link.is_up_dead |= world.random.random() < 0.5
        link.is_down_dead |= world.random.random() < 0.5
        delay_ns = _soon_ns(world)
        world.after(delay_ns, _lose, world, link)


def half_open(world: "Simulation") -> None:
    """Let one direction swallow everything, or both; nobody is told."""
    link = _any_link(world)
    if link is not None:
        up, down = world.random.choice(((True, True), (True, False), (False, True)))
        link.is_up_dead |= up
        link.is_down_dead |= down
        world.after(5_000 * _MILLISECOND, _lose, world, link)  # keepalive


def drop_batch(world: "Simulation") -> None:
    """Lose one batch in mid-stream, so that there is a gap."""
    link = _any_link(world)
    if link is not None:
        link.is_lossy = link.drops_batch = True
        world.after(3_000 * _MILLISECOND, _lose, world, link)  # if no batch follows


def kill_collector(world: "Simulation") -> None:
    """Kill a collector; what it has sent may still arrive."""
    host = world.random.choice(world.hosts)
    if host.link is not None:
        host.link.is_up_dead |= world.random.random() < 0.5
    if not host.is_dead:
        host.crash(_soon_ns(world))


def freeze_collector(world: "Simulation") -> None:
    """Stop a collector for a while."""
    host = world.random.choice(world.hosts)
    host.frozen_until_ns = world.now_ns + _soon_ns(world, 4_000)


def kill_hub(world: "Simulation") -> None:
    """Kill the hub."""
    if world.is_hub_up:
        world.kill_hub(_soon_ns(world))


def lose_table(world: "Simulation") -> None:
    """Kill the hub and lose its table."""
    if world.is_hub_up:
        world.hub.durable = {}
        world.oracle.has_lost_table = True
        world.kill_hub(_soon_ns(world))


def restore_table(world: "Simulation") -> None:
    """Give the hub an older copy of its table."""
    if world.is_hub_up and world.random.random() < 0.2:
        copy = dict(world.hub.durable)
        world.after(_soon_ns(world), _restore, world, world.hub.fleet, copy)


def stop_hub(world: "Simulation") -> None:
    """Stop the hub in good order: it asks all to leave first."""
    if not _is_hub_working(world):
        return
    grace_ms = world.random.choice((50, 500, 1_500))
    world.hub.fleet.drain(grace_ms / 1e3, world.random.randrange)
    world.after(grace_ms * _MILLISECOND, _close, world, world.hub.fleet)


def freeze_hub(world: "Simulation") -> None:
    """Stop the hub's process for a while."""
    world.hub_frozen_until_ns = world.now_ns + _soon_ns(world, 5_000)


def wedge_handler(world: "Simulation") -> None:
    """Let the handler of one stream hang for a while; heartbeats go on."""
    if world.hub.streams:
        stream = world.random.choice(world.hub.streams)
        world.wedged_until_ns[stream] = world.now_ns + _soon_ns(world, 5_000)


def newer_peer(world: "Simulation") -> None:
    """Send frames that only a newer version knows, both ways."""
    link = _any_link(world)
    if link is not None:
        link.send_up(_NEWER_FRAME)
        link.send_down(_NEWER_FRAME)


def rival(world: "Simulation") -> None:
    """Have somebody else speak for a host: an older collector, a clone, a stranger."""
    host = world.random.choice(world.hosts)
    is_live = any(known.host_id == host.name for known in world.hub.fleet.hosts())
    if not _is_hub_working(world) or not is_live:
        return
    clone = Hello(1, 1, "rival", host.name, b"rival".ljust(16), 1)
    older = replace(clone, epoch=0)
    newest = replace(clone, epoch=99, protocol_min=2, protocol_max=9)
    ancient = replace(clone, epoch=99, protocol_min=0, protocol_max=0)
    hello = world.random.choice((clone, older, newest, ancient))
    stream = world.connect()
    stream.inbox.append(encode_collector_frame(hello))
    stream.step()
    if not stream.stopped.is_set():
        raise Flaw(f"{hello} was accepted beside {host.name}")


FAULTS: list[Callable[["Simulation"], None]] = [
    *(cut, half_open, drop_batch, kill_collector, freeze_collector),
    *(kill_hub, lose_table, restore_table, stop_hub, freeze_hub, wedge_handler),
    *(newer_peer, rival),
]


def _soon_ns(world: "Simulation", limit_ms: int = 1_000) -> int:
    return world.random.randrange(1, limit_ms) * _MILLISECOND


def _is_hub_working(world: "Simulation") -> bool:
    return world.is_hub_up and world.now_ns >= world.hub_frozen_until_ns


def _any_link(world: "Simulation") -> "Link | None":
    links = [host.link for host in world.hosts if host.link is not None]
    return world.random.choice(links) if links else None


def _lose(world: "Simulation", link: "Link") -> None:
    if link.host.link is link:
        link.host.lose("cut")


def _restore(world: "Simulation", fleet: Fleet, copy: dict[Key, Position]) -> None:
    is_late = world.now_ns >= world.faults_until_ns
    if world.is_hub_up and world.hub.fleet is fleet and not is_late:
        world.oracle.may_lose_state = world.oracle.has_lost_table = True
        world.hub.durable = copy
        world.kill_hub(_soon_ns(world))


def _close(world: "Simulation", fleet: Fleet) -> None:
    if world.hub.fleet is fleet and world.is_hub_up:
        world.hub.fleet.close()
        world.pump()
        world.hub.flush()
        world.kill_hub(_soon_ns(world))
