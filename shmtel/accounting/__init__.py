"""The laws of accounting, for a host and for a fleet alike.

Rules:
- arithmetic over plain data: where the numbers come from is the business of the
  collector, of the hub, and of the tools that ask them.
"""

SCHEMA = "shmtel/ledger/v1"  # of a ledger as a document
