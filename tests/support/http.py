"""Asking the HTTP endpoints of a daemon, and reading what it exposes."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

WAIT_S = 20.0
Values = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


class Answer(NamedTuple):
    """What came back."""

    status: int
    text: str
    content_type: str


def get(url: str, accept: str = "") -> Answer:
    """Ask for a page; an error status is an answer, too."""
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            kind = answer.headers["content-type"]
            return Answer(answer.status, answer.read().decode(), kind)
    except urllib.error.HTTPError as error:
        with error:
            kind = error.headers["content-type"]
            return Answer(error.code, error.read().decode(), kind)


def scrape(url: str) -> Values:
    """Return what a daemon exposes."""
    answer = get(f"{url}/metrics")
    assert answer.status == 200, answer.text
    return samples(answer.text)


def samples(text: str) -> Values:
    """Return the values of an exposition by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(values: Values, name: str, **labels: str) -> float:
    """Return the sum of the samples of a name that have these labels."""
    wanted = labels.items()
    return sum(v for (n, has), v in values.items() if n == name and wanted <= has)


def by_label(values: Values, name: str, label: str) -> dict[str, float]:
    """Return the sums of a name by one of its labels, without those that are 0."""
    sums: dict[str, float] = {}
    for (n, has), value in values.items():
        if n == name and value:
            key = dict(has)[label]
            sums[key] = sums.get(key, 0) + value
    return sums
