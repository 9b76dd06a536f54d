"""Values that stand for events of which only buckets are known.

Rules:
- each value lies within its bucket, so a quantile is right to the width of one;
- the values, each as often as its bucket has events, have the sum that the events
  have, so the mean is right as far as floats are.
"""

from collections.abc import Sequence
from itertools import pairwise

from shmtel.hub.measures.tally import Number


def spread(
    bounds: Sequence[float], counts: Sequence[int], total: Number
) -> list[float]:
    """Return the value that stands for each bucket.

    Args:
        bounds: the greatest value of each, rising; the last bucket has none.
        counts: events by bucket.
        total: sum of the values of all events, none of which is below 0.

    All values stand at the same share of the width of their buckets. The last one,
    which has no width, takes what is left of the sum; for it the others stand in the
    middle.
    """
    edges = [max(0.0, bound) for bound in (0.0, *bounds)]
    floors, widths = edges, [high - low for low, high in pairwise(edges)]
    least = sum(n * low for n, low in zip(counts, floors, strict=True))
    room = sum(n * width for n, width in zip(counts, widths, strict=False))
    beyond = counts[-1]
    share = (total - least) / room if room else 0.0
    share = max(0.0, min(0.5 if beyond else 1.0, share))
    values = [low + share * width for low, width in zip(floors, widths, strict=False)]
    told = sum(n * value for n, value in zip(counts, values, strict=False))
    last = (total - told) / beyond if beyond else 0.0
    return [*values, max(floors[-1], last)]
