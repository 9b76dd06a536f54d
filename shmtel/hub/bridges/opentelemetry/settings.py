"""How the bridge is set: its own settings, and OTLP's environment variables.

    OTEL_EXPORTER_OTLP_{ENDPOINT,PROTOCOL,HEADERS,TIMEOUT,COMPRESSION,INSECURE,
        CERTIFICATE,CLIENT_KEY,CLIENT_CERTIFICATE}
    the same with {TRACES,LOGS,METRICS}_ behind OTLP_, which wins for that signal
    OTEL_METRIC_EXPORT_INTERVAL
    OTEL_{TRACES,LOGS,METRICS}_EXPORTER   `none` switches a signal off
    OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME   what all workers have, or lack

What is passed wins over the environment, as everywhere in shmtel. An endpoint that
is passed is one for all signals.

Rules:
- a bad value is warned of once, with the cure, and is as if it were not there;
- an empty variable is as if it were not there: the specification says so.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from shmtel.config import parse_boolean, warn_once
from shmtel.hub.bridges.opentelemetry.frames import Signal
from shmtel.hub.bridges.opentelemetry.services import SERVICES
from shmtel.hub.bridges.opentelemetry.target import Protocol, Target

_T = TypeVar("_T")

_GRPC_PORT = 4317
_TIMEOUT_S = 10.0
_METRIC_INTERVAL_S = 60.0
_DEFAULTS = {"grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318"}
_HERE = ("unix:", "localhost:", "127.0.0.1:", "[::1]:")
_HEADER = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~-]+")  # what may be the name of one
_PREFIX = "OTEL_EXPORTER_OTLP_"


@dataclass(frozen=True, slots=True)
class OpenTelemetrySettings:
    """What the bridge does with what it gets.

    Attributes:
        endpoint: one for all signals; None: as the environment says, else the
            collector of OpenTelemetry on this host.
        protocol: `grpc` or `http/protobuf`; None: as the environment says, else gRPC
            where the endpoint's port is 4317, else HTTP.
        room_bytes: of what waits, for each signal; what finds no room is dropped.
        batch_bytes: of a request, beyond which another one is begun.
        delay_s: how long events wait for others to share a request with.
        retry_s: for how long a request is tried.
    """

    endpoint: str | None = None
    protocol: Protocol | None = None
    room_bytes: int = 32 << 20
    batch_bytes: int = 1 << 20
    delay_s: float = 1.0
    retry_s: float = 300.0

    def __post_init__(self) -> None:
        if self.protocol not in (None, "grpc", "http/protobuf"):
            raise ValueError(f"protocol {self.protocol!r}: use grpc or http/protobuf")
        for name in ("room_bytes", "batch_bytes", "delay_s", "retry_s"):
            value, least = getattr(self, name), 0 if name.endswith("_s") else 1
            if not isinstance(value, int | float) or not least <= value < math.inf:
                raise ValueError(f"{name} {value!r}: use a number of {least} or more")
        if self.endpoint is not None:
            _parse_endpoint(self.endpoint)


def targets_of(
    settings: OpenTelemetrySettings, environment: Mapping[str, str] = os.environ
) -> dict[Signal, Target]:
    """Return where each signal goes that is not switched off."""
    found = {signal: _target(settings, signal, environment) for signal in Signal}
    return {signal: target for signal, target in found.items() if target}


def common_attributes(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the resource attributes that all workers share, as far as they lack them.

    Of a value with a mistake nothing is used: the specification says so.
    """
    text = environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    pairs = _read("OTEL_RESOURCE_ATTRIBUTES", text, _parse_pairs) or ()
    name = environment.get("OTEL_SERVICE_NAME")
    return {**dict(pairs), **({"service.name": name} if name else {})}


def metric_interval_s(environment: Mapping[str, str] = os.environ) -> float:
    """Return how often metrics are sent."""
    variable = "OTEL_METRIC_EXPORT_INTERVAL"
    said = _read(variable, environment.get(variable, ""), _parse_timeout)
    return said or _METRIC_INTERVAL_S


def _target(
    settings: OpenTelemetrySettings, signal: Signal, environment: Mapping[str, str]
) -> Target | None:
    if environment.get(f"OTEL_{signal.upper()}_EXPORTER") == "none":
        return None
    said = _Said(signal, environment)
    passed = settings.endpoint
    own = None if passed else said.own("ENDPOINT", _parse_endpoint)
    endpoint = own or passed or said.of_all("ENDPOINT", _parse_endpoint)
    protocol = settings.protocol or said.value("PROTOCOL", _parse_protocol)
    protocol = protocol or _likely_protocol(endpoint)
    target = Target(
        protocol=protocol,
        address="",
        headers=said.value("HEADERS", _parse_headers) or (),
        timeout_s=said.value("TIMEOUT", _parse_timeout) or _TIMEOUT_S,
        compression=said.value("COMPRESSION", _parse_compression) or "none",
        certificate=said.value("CERTIFICATE", _parse_file),
    )
    target = _with_key_pair(target, said, signal)
    endpoint = endpoint or _DEFAULTS[protocol]
    if protocol == "grpc":
        is_insecure = said.value("INSECURE", parse_boolean)
        return _to_grpc(target, endpoint, is_insecure)
    path = None if own else SERVICES[signal].path
    return replace(target, address=_url(endpoint, path))


def _with_key_pair(target: Target, said: "_Said", signal: Signal) -> Target:
    """Add our key and its certificate: both, or neither. gRPC would abort on half."""
    certificate = said.value("CLIENT_CERTIFICATE", _parse_file)
    key = said.value("CLIENT_KEY", _parse_file)
    if (certificate is None) != (key is None):
        warn_once(
            f"{signal} are sent without a client certificate: "
            f"{_PREFIX}CLIENT_CERTIFICATE and {_PREFIX}CLIENT_KEY go together; "
            "set both, to files that can be read"
        )
        return target
    return replace(target, client_certificate=certificate, client_key=key)


def _to_grpc(target: Target, endpoint: str, is_insecure: bool | None) -> Target:
    """Address a gRPC server; a scheme says whether it is secure, and then wins.

    Where nothing says it, only what stays on this host is plain.
    """
    parts = urlsplit(endpoint)
    if parts.scheme in ("http", "https"):
        is_secure = parts.scheme == "https"
        return replace(target, address=parts.netloc, is_secure=is_secure)
    if is_insecure is None:
        is_insecure = endpoint.startswith(_HERE)
    return replace(target, address=endpoint, is_secure=not is_insecure)


def _url(endpoint: str, path: str | None) -> str:
    """Return the URL of a signal; an endpoint of one signal is used as it is."""
    parts = urlsplit(endpoint)
    whole = parts.path or "/"
    if path is not None:
        whole = f"{parts.path.rstrip('/')}/{path}"
    return urlunsplit(parts._replace(path=whole))


def _likely_protocol(endpoint: str | None) -> Protocol:
    if endpoint is None:
        return "http/protobuf"  # the specification's default
    parts = urlsplit(endpoint)
    has_url = parts.scheme in ("http", "https")
    return "http/protobuf" if has_url and parts.port != _GRPC_PORT else "grpc"


class _Said:
    """What the environment says of one signal."""

    def __init__(self, signal: Signal, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._own_prefix = f"{_PREFIX}{signal.upper()}_"

    def value(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        own = self.own(name, parse)
        return self.of_all(name, parse) if own is None else own

    def own(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        return self._read(self._own_prefix + name, parse)

    def of_all(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        return self._read(_PREFIX + name, parse)

    def _read(self, variable: str, parse: Callable[[str], _T]) -> _T | None:
        return _read(variable, self._environment.get(variable, ""), parse)


def _read(variable: str, text: str, parse: Callable[[str], _T]) -> _T | None:
    if not text.strip():
        return None
    try:
        return parse(text.strip())
    except ValueError as error:
        # Headers hold secrets: what is wrong with them is said without them.
        shown = "" if "HEADERS" in variable else f"={text!r}"
        warn_once(f"{variable}{shown} is ignored: {error}")
        return None


def _parse_endpoint(text: str) -> str:
    parts = urlsplit(text)
    _ = parts.port  # a port that is no number raises
    is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
    is_grpc = text.startswith("unix:") or (
        "://" not in text and text.rpartition(":")[2].isdigit()
    )
    if not is_url and not is_grpc:
        raise ValueError(
            "use a URL, such as http://localhost:4318, or host:port of gRPC"
        )
    return text


def _parse_protocol(text: str) -> Protocol:
    if text not in ("grpc", "http/protobuf"):
        raise ValueError("use grpc or http/protobuf")
    return cast("Protocol", text)


def _parse_compression(text: str) -> str:
    if text not in ("gzip", "none"):
        raise ValueError("use gzip or none")
    return text


def _parse_timeout(text: str) -> float:
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise ValueError("use milliseconds, such as 10000")
    return int(text) / 1e3


def _parse_file(text: str) -> str:
    if not os.access(text, os.R_OK):
        raise ValueError("use a file that can be read")
    return text


def _parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    """Read pairs that can be headers; the clients would show others as they are."""
    pairs = _parse_pairs(text)
    for name, value in pairs:
        is_text = value.isascii() and value.isprintable()
        if _HEADER.fullmatch(name) is None or not is_text:
            raise ValueError("use names and values that can be headers")
    return pairs


def _parse_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read `key=value,key=value` with percent-encoded values."""
    pairs: list[Any] = []
    for item in filter(str.strip, text.split(",")):
        key, is_pair, value = item.partition("=")
        if not is_pair or not key.strip():
            raise ValueError("use key=value,key=value with percent-encoded values")
        pairs.append((unquote(key.strip()), unquote(value.strip())))
    return tuple(pairs)
