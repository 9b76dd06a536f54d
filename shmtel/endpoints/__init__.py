"""The HTTP endpoints of a daemon: its metrics, and whether it lives and is ready.

Hub and collector have the same, each on an address of its own.

Rules:
- who is scraped, or asked too often, or by somebody slow, works on meanwhile;
- names that come from workers or peers are bounded, in length and in number.
"""
