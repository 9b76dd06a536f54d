"""Asking the HTTP endpoints of a daemon, and reading what it exposes."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

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
    answer, headers = ask(url, accept=accept)
    return Answer(*answer, headers["content-type"])


def ask(
    url: str, method: str = "GET", **headers: str
) -> tuple[tuple[int, str], Message]:
    """Ask in any way; return status and text, and the headers of the answer."""
    said = {name.replace("_", "-"): text for name, text in headers.items() if text}
    request = urllib.request.Request(url, headers=said, method=method)
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return (answer.status, answer.read().decode()), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return (error.code, error.read().decode()), error.headers


def document(url: str) -> dict[str, Any]:
    """Return a document that a daemon tells."""
    (status, text), headers = ask(url)
    assert status == 200, text
    assert headers["content-type"] == "application/json"
    told: dict[str, Any] = json.loads(text)
    return told


def problem(url: str, method: str = "GET") -> dict[str, Any]:
    """Return the problem document that an answer is."""
    (status, text), headers = ask(url, method)
    assert headers["content-type"] == "application/problem+json", text
    told: dict[str, Any] = json.loads(text)
    assert told["status"] == status
    return told


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
