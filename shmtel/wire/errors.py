"""Whose fault it was: the two ways in which the protocol can be broken."""

from shmtel.errors import ShmtelError


class RemoteProtocolError(ShmtelError):
    """The peer sent what the protocol does not allow; the stream is to end."""


class VersionMismatch(RemoteProtocolError):
    """The peer speaks no version of the protocol that is spoken here."""


class LocalProtocolError(ShmtelError):
    """This side asked for what the protocol does not allow: a defect here."""
