"""A collector of OpenTelemetry: takes spans by OTLP over HTTP, reads them by the published package, and fails as it is told.

    collector = Collector()
    span = await collector.span("sign_in", **{"homeroom.outcome": "done"})    # waits for one
    span.trace, span.parent, span.attributes, span.events
"""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from model_stub import until

KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass
class Span:
    """One, as it came."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict
    events: list[str]
    began: int  # nanoseconds since 1970
    ended: int
    has_failed: bool
    flags: int
    resource: dict

    @property
    def traceparent(self) -> str:
        """As a header names it."""
        return f"00-{self.trace}-{self.id}-01"


def values(attributes) -> dict:
    """Attributes as a table."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def read(body: bytes) -> list[Span]:
    """All spans of a request."""
    spans = []
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = values(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            assert of_scope.scope.name == "homeroom"
            for span in of_scope.spans:
                assert len(span.trace_id) == 16 and len(span.span_id) == 8 and len(span.parent_span_id) in (0, 8)
                spans.append(Span(
                    span.name, KINDS[span.kind], span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                    values(span.attributes), [event.name for event in span.events], span.start_time_unix_nano,
                    span.end_time_unix_nano, span.status.code == 2, span.flags, resource,
                ))
    return spans


class Collector:
    """Listens on a port of its own. `fault`: "refuse" (400), "away" (503), "hang" (no answer), "partial" (takes all but one)."""

    def __init__(self):
        self.spans: list[Span] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.fault: str | None = None
        self.asked = 0
        self.released = threading.Event()
        own = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                own.asked += 1
                own.headers.append({name.lower(): value for name, value in self.headers.items()} | {"path": self.path})
                fault, status, answer = own.fault, 200, b""
                if fault == "hang":
                    own.released.wait(60)
                    self.close_connection = True
                    return
                if fault in ("refuse", "away"):
                    status = 400 if fault == "refuse" else 503
                else:
                    own.bodies.append(body)
                    own.spans += read(body)
                if fault == "partial":
                    response = ExportTraceServiceResponse()
                    response.partial_success.rejected_spans = 1
                    answer = response.SerializeToString()
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/x-protobuf")
                    self.send_header("content-length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    pass  # the server has given up

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def found(self, name: str, trace: str | None = None, **attributes) -> list[Span]:
        """Those that have come, of this name, trace and attributes."""
        return [
            span for span in list(self.spans)
            if span.name == name and trace in (None, span.trace) and attributes.items() <= span.attributes.items()
        ]

    async def span(self, name: str, trace: str | None = None, **attributes) -> Span:
        """Waits for one."""
        await until(lambda: self.found(name, trace, **attributes), 60, f"no span {name} {attributes} of {trace}")
        return self.found(name, trace, **attributes)[0]

    def close(self):
        """Ends it."""
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
