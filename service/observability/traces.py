"""Spans of calls for OpenTelemetry.

The instrumentation of gRPC that OpenTelemetry has writes the text of a status into a span, and that
text may quote a typing; so spans are made by the interceptor, with names and codes only.
"""

from __future__ import annotations

from importlib import metadata

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from service.status import ServerError


def exporter(endpoint: str) -> SpanExporter:
    """Sends spans to a collector, over TLS for `https://`. Raises `ServerError`."""
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ServerError("--traces needs the extra `traces`: pip install '.[traces]'") from error
    return OTLPSpanExporter(endpoint, insecure=not endpoint.startswith("https://"))


def provider(spans: SpanExporter) -> TracerProvider:
    """What makes the spans of this process; shut it down at the end."""
    resource = Resource.create(
        {"service.name": "graftmatch", "service.version": metadata.version("graftmatch")}
    )
    made = TracerProvider(resource=resource)
    made.add_span_processor(BatchSpanProcessor(spans))
    return made
