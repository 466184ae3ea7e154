"""The permission service that `type = "http"` asks. The subject's name decides what it answers; it remembers what it was asked."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class PermissionService:
    """Subjects named `denied…` are refused, `slow…` wait 3.5 s, `stuck…` wait 30 s, `broken…` meet a 500, `rubbish…` get no JSON."""

    def __init__(self):
        self.asked: list[dict] = []
        self.headers: list[dict[str, str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                question = json.loads(body)
                service.asked.append(question)
                service.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, answer = service.answer(json.dumps(question["subject"]), question["action"])
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    pass  # the asker has given up, as some tests want it to

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.released = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where to ask."""
        return f"http://127.0.0.1:{self.server.server_port}/authz"

    def answer(self, subject: str, action: str) -> tuple[int, bytes]:
        """Status and body, after whatever delay the subject asks for."""
        if "slow" in subject:
            time.sleep(3.5)
        if "stuck" in subject:
            self.released.wait(30)
        if "broken" in subject:
            return 500, b"{}"
        if "rubbish" in subject:
            return 200, b"<html>"
        return 200, b"[]" if "denied" in subject else json.dumps([action]).encode()

    def close(self):
        """Ends it, and whoever still waits in it."""
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
