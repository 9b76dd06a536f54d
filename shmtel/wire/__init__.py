"""The uplink: what crosses the stream between a collector and a hub.

`frames` holds the messages as plain data, `codec` turns them into bytes and
back, `collector_role` and `hub_role` are the two sides of the protocol, and
`pb` is generated from protos/.

Rules:
- sans-io: nothing here opens a socket, starts a thread or reads a clock;
- generated messages do not leave this package.
"""
