"""The host agent: drains the rings of one namespace and forwards them to a hub."""
