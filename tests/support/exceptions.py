"""What tests expect of exceptions."""


def error_type(kind: type[BaseException]) -> str:
    """Return what exception.type of OpenTelemetry is, of a class that does not lie."""
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"
