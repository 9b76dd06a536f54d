"""`shmtel collector`: the host agent, in the foreground until SIGTERM or SIGINT."""

from pathlib import Path

import click

from shmtel.cli import children, common


@click.command()
@common.hub_option
@common.namespace_option
@common.state_dir_option
@common.log_level_option
@common.parent_option
def command(
    hub: str,
    namespace: str,
    state_dir: Path | None,
    log_level: str,
    parent: int | None,
) -> int:
    """Drain this host's rings and forward their events to a hub."""
    from shmtel_collector import service

    children.end_with_parent(parent)
    common.start_logging(log_level)
    return service.run(
        service.CollectorConfig(hub=hub, namespace=namespace, state_dir=state_dir)
    )
