"""Traces: one a release over every process, sent as the standard says, and without anything that stands in a cell."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

from api.desk.runs import begin
from api.log import FIELDS
from api.service import close_desk, open_desk
from api.tracing import Span, Traces, open_traces
from api.work.releasing import release as carry_out
from tests.end_to_end.scene import CANARY
from tests.service.scene import make_scene


class Collector:
    """A collector of OTLP over HTTP."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        received = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"

    @property
    def spans(self) -> list[Sent]:
        """What was sent."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [span for r in requests for a in r.resource_spans for b in a.scope_spans for span in b.spans]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_spans_about_one_release_are_one_trace_whoever_sends_them(collector: Collector) -> None:
    began = time.time_ns()
    for about in ("one", "two"):
        for _ in range(2):
            traces = open_traces(collector.url)
            traces.span(Span.JOB, about, began, kind="release", run=1, code=0)
            traces.close()
    spans = collector.spans
    assert [(span.name, span.start_time_unix_nano) for span in spans] == [("job", began)] * 4
    assert all(span.end_time_unix_nano >= began for span in spans)
    assert len({span.trace_id for span in spans}) == 2
    assert len({span.span_id for span in spans}) == 4


@pytest.mark.parametrize("fields", [{"kind": "two words"}, {"cell": "x"}, {"step": "x" * 200}])
def test_what_might_be_a_cell_is_refused_traced_or_not(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="may not be told"):
        Traces().span(Span.STEP, "one", 0, **fields)


def test_a_collector_that_is_away_fails_nothing() -> None:
    traces = open_traces("http://127.0.0.1:9/v1/traces")
    traces.span(Span.JOB, "one", time.time_ns(), kind="release")
    traces.close()


@pytest.mark.service
def test_a_release_tells_its_steps_and_no_cell(collector: Collector, tmp_path: pytest.TempPathFactory) -> None:
    scene = make_scene(tmp_path, "")  # type: ignore[arg-type]
    asked = scene.request(scene.taken_in())
    desk = open_desk(scene.desk.settings.model_copy(update={"traces": collector.url}), private=True)
    run = begin(desk, asked.id, "here")
    assert run is not None
    carry_out(desk, run)
    close_desk(desk)
    close_desk(scene.desk)
    steps = [a.value.string_value for span in collector.spans for a in span.attributes if a.key == "step"]
    assert (steps[0], steps[-1]) == ("reading-the-table", "sealing-the-bundle")
    assert {a.key for span in collector.spans for a in span.attributes} <= FIELDS
    assert CANARY.encode() not in b"".join(collector.bodies)
