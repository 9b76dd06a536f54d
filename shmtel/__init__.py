"""Telemetry out of Python workers through shared memory."""
