"""A whole line of real processes under faults, and the oracle that judges it.

    python -m support.chaos --seed 1 --seconds 10

`plan` draws from a seed what happens when; `run` makes it happen to workers,
collector, hub, network and disks; `history` reads what all of them have written,
and `oracle` says what is wrong with that. See docs/guides/chaos.md.
"""
