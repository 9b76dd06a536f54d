"""The demonstration behind `shmtel demo`: real work, watched, steered and killed.

`workers` does the work in forked processes, `tally` counts what arrives at the
hub, `screen` draws, and `story` is what happens and what must have come true.
"""
