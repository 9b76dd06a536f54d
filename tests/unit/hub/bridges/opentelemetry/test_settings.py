"""Where signals go, by what is passed and what the environment says."""

from typing import Any

import pytest

from shmtel.errors import ShmtelWarning
from shmtel.hub.bridges.opentelemetry.frames import Signal
from shmtel.hub.bridges.opentelemetry.settings import (
    OpenTelemetrySettings,
    common_attributes,
    targets_of,
)
from shmtel.hub.bridges.opentelemetry.target import Target

P = "OTEL_EXPORTER_OTLP_"


def target(
    settings: OpenTelemetrySettings | None = None,
    signal: Signal = Signal.TRACES,
    **variables: str,
) -> Target:
    """Return where spans go."""
    return targets_of(settings or OpenTelemetrySettings(), variables)[signal]


@pytest.mark.parametrize(
    ("variables", "protocol", "address", "is_secure"),
    [
        ({}, "http/protobuf", "http://localhost:4318/v1/traces", False),
        ({"PROTOCOL": "grpc"}, "grpc", "localhost:4317", False),
        (
            {"ENDPOINT": "http://c:4318/base/"},
            *("http/protobuf", "http://c:4318/base/v1/traces", False),
        ),
        (
            {"TRACES_ENDPOINT": "http://c:4318/as/it/is"},
            *("http/protobuf", "http://c:4318/as/it/is", False),
        ),
        (
            {"TRACES_ENDPOINT": "https://c"},
            *("http/protobuf", "https://c/", False),
        ),
        (
            {"ENDPOINT": "http://a:1", "TRACES_ENDPOINT": "http://b:2/x"},
            *("http/protobuf", "http://b:2/x", False),
        ),
        ({"ENDPOINT": "http://c:4317"}, "grpc", "c:4317", False),
        ({"ENDPOINT": "https://c:4317"}, "grpc", "c:4317", True),
        ({"ENDPOINT": "c:4317"}, "grpc", "c:4317", True),
        ({"ENDPOINT": "c:4317", "INSECURE": "true"}, "grpc", "c:4317", False),
        ({"ENDPOINT": "localhost:4317"}, "grpc", "localhost:4317", False),
        ({"ENDPOINT": "[::1]:1", "INSECURE": "0"}, "grpc", "[::1]:1", True),
        (
            {"ENDPOINT": "https://c:1", "INSECURE": "true", "PROTOCOL": "grpc"},
            "grpc",
            "c:1",
            True,
        ),
        (
            {"ENDPOINT": "unix:/run/o.sock", "TRACES_INSECURE": "1"},
            *("grpc", "unix:/run/o.sock", False),
        ),
        (
            {"ENDPOINT": "http://c:4317", "TRACES_PROTOCOL": "http/protobuf"},
            *("http/protobuf", "http://c:4317/v1/traces", False),
        ),
        ({"ENDPOINT": " "}, "http/protobuf", "http://localhost:4318/v1/traces", False),
    ],
)
def test_where_spans_go(
    variables: dict[str, str], protocol: str, address: str, is_secure: bool
) -> None:
    """By protocol and endpoint, of all signals or of one, as the specification says."""
    found = target(**{P + name: value for name, value in variables.items()})
    assert (found.protocol, found.address) == (protocol, address)
    assert found.is_secure == is_secure


def test_what_is_passed_wins() -> None:
    """Over the environment, of all signals and of one."""
    environment = {P + "TRACES_ENDPOINT": "http://e:1/x", P + "PROTOCOL": "grpc"}
    settings = OpenTelemetrySettings("http://p:2", "http/protobuf")
    assert target(settings, **environment).address == "http://p:2/v1/traces"
    assert target(settings, Signal.LOGS, **environment).address == "http://p:2/v1/logs"
    assert target(OpenTelemetrySettings("p:2"), **environment).address == "p:2"


@pytest.mark.parametrize(
    "endpoint", ["ftp://c", "c", "http://", "http://c:port", "c:x"]
)
def test_a_wrong_endpoint_is_refused(endpoint: str) -> None:
    """Where it is passed, it is an error."""
    with pytest.raises(ValueError, match=r"use a URL|[Pp]ort"):
        OpenTelemetrySettings(endpoint)


def test_the_rest_is_read() -> None:
    """Headers, time, compression and files; those of one signal win."""
    found = target(
        **{
            P + "HEADERS": "api-key=a%20b, x = y ",
            P + "TIMEOUT": "2500",
            P + "TRACES_TIMEOUT": "100",
            P + "COMPRESSION": "gzip",
            P + "TRACES_COMPRESSION": "none",
            P + "CERTIFICATE": __file__,
            P + "CLIENT_KEY": __file__,
            P + "CLIENT_CERTIFICATE": __file__,
        }
    )
    assert found.headers == (("api-key", "a b"), ("x", "y"))
    assert (found.timeout_s, found.compression) == (0.1, "none")
    files = (found.certificate, found.client_key, found.client_certificate)
    assert files == (__file__,) * 3


@pytest.mark.parametrize("half", ["CLIENT_KEY", "CLIENT_CERTIFICATE"])
def test_half_a_key_pair_is_none(half: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With half of one gRPC would end the whole process."""
    monkeypatch.setattr("shmtel.config._warned", set())
    with pytest.warns(ShmtelWarning, match="set both"):
        found = target(**{P + half: __file__})
    assert (found.client_key, found.client_certificate) == (None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("room_bytes", -1), ("batch_bytes", 0), ("delay_s", -1), ("retry_s", "x")],
)
def test_numbers_that_mean_nothing(name: str, value: Any) -> None:
    """They are refused, with what may stand there."""
    with pytest.raises(ValueError, match=f"{name} .* or more"):
        OpenTelemetrySettings(**{name: value})


@pytest.mark.parametrize(
    ("variable", "value", "cure"),
    [
        ("ENDPOINT", "nowhere", "use a URL"),
        ("PROTOCOL", "http/json", "use grpc or http/protobuf"),
        ("TIMEOUT", "soon", "use milliseconds"),
        ("TIMEOUT", "0", "use milliseconds"),
        ("COMPRESSION", "zip", "use gzip or none"),
        ("CERTIFICATE", "/not/there", "use a file"),
        ("HEADERS", "secret", "key=value"),
        ("HEADERS", "a key=secret", "can be headers"),
        ("HEADERS", "key=secret%0aof=mine", "can be headers"),
        ("INSECURE", "perhaps", "use 1, true"),
    ],
)
def test_a_bad_value_is_warned_of(
    variable: str, value: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, with the cure and without secrets, and the default is used."""
    monkeypatch.setattr("shmtel.config._warned", set())
    protocol = {} if variable == "PROTOCOL" else {P + "PROTOCOL": "grpc"}
    with pytest.warns(ShmtelWarning, match=cure) as warned:
        found = targets_of(OpenTelemetrySettings(), {P + variable: value, **protocol})
    assert len(warned) == 1
    assert "secret" not in str(warned[0].message)
    assert found == targets_of(OpenTelemetrySettings(), protocol)


def test_a_signal_can_be_switched_off() -> None:
    """As OpenTelemetry's own exporters are."""
    found = targets_of(OpenTelemetrySettings(), {"OTEL_LOGS_EXPORTER": "none"})
    assert list(found) == [Signal.TRACES, Signal.METRICS]


def test_what_all_workers_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service name of its own variable wins; of a mistake nothing is used."""
    monkeypatch.setattr("shmtel.config._warned", set())
    name = "OTEL_RESOURCE_ATTRIBUTES"
    assert common_attributes({}) == {}
    both = {name: "service.name=a,team=x%2Cy", "OTEL_SERVICE_NAME": "b"}
    assert common_attributes(both) == {"service.name": "b", "team": "x,y"}
    with pytest.warns(ShmtelWarning, match="percent-encoded"):
        assert common_attributes({name: "team=x,y"}) == {}
