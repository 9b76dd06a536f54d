"""Connections to what an application already uses: one file each."""
