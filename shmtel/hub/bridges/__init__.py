"""Bridges: what metrics and events look like to the systems that others run.

Rules:
- a bridge reads; what it tells is settled before, in `shmtel.hub.measures`.
"""
