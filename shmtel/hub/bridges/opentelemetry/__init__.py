"""Events as spans and log records of OpenTelemetry, sent by OTLP."""
