"""Traces (OpenTelemetry), off unless a collector is named: requests, jobs and their steps.

All that concerns one release or dataset is one trace, whichever process did it and whenever: its id is derived from the
id of the release or dataset, so that nothing need be handed along. A span has one of three names, and what `api.log`
would take as fields: ids, words of this program, numbers. Nothing instruments itself; texts of exceptions are not
recorded.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from api.log import checked
from privacy.errors import RequestError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter


class Span(StrEnum):
    """What is traced."""

    REQUEST = "request"
    JOB = "job"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Traces:
    """Where spans go; nowhere by default."""

    provider: TracerProvider | None = None

    def span(self, name: Span, about: str, began: int, **fields: str | int | float) -> None:
        """Tell of something that ends now.

        Args:
            name: what it was.
            about: id of the release or dataset whose trace it belongs to, before a slash of what else.
            began: when, in nanoseconds since 1970 (`time.time_ns`).
            fields: as `api.log` takes them.

        Raises:
            ValueError: a field may not be traced.
        """
        facts = checked({"about": about, **fields})
        if self.provider is None:
            return
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        digest = hashlib.sha256(about.partition("/")[0].encode()).digest()
        root = SpanContext(
            int.from_bytes(digest[:16]), int.from_bytes(digest[16:24]), is_remote=True, trace_flags=TraceFlags(1)
        )
        context = set_span_in_context(NonRecordingSpan(root))
        self.provider.get_tracer("tablegate").start_span(str(name), context, attributes=facts, start_time=began).end(
            time.time_ns()
        )

    def close(self) -> None:
        """Send what has not been sent."""
        if self.provider is not None:
            self.provider.shutdown()


def open_traces(url: str) -> Traces:
    """Traces that are sent to a collector as OTLP over HTTP.

    Args:
        url: such as `http://collector:4318/v1/traces`; empty for none.

    Raises:
        RequestError: the extra `otel` is not installed.
    """
    if not url:
        return Traces()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise RequestError(
            "TABLEGATE_TRACES names a collector, but nothing here can send to one.",
            why="What sends traces is an extra.",
            fix="Install tablegate[otel], or leave TABLEGATE_TRACES empty.",
        ) from error
    return traces_to(OTLPSpanExporter(endpoint=url, timeout=5))


def traces_to(exporter: SpanExporter) -> Traces:
    """Traces that go to an exporter, in batches and from a thread of its own."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": "tablegate"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Traces(provider)
