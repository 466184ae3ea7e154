// Runs programs of chat's contract as a page runs its scripts: node chat.mjs FILE...; what one throws is printed, and the next runs all the
// same. A file named `.mjs` may await. The page has Node's `ws` for its WebSocket, an EventSource, and one element to write into.
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";
import WebSocket from "ws";

// WHATWG HTML, 9.2: GET unless a wrapper of a later class says otherwise. It does not come again: the contract's program closes it at once.
class EventSource {
  constructor(url, options = {}) {
    this.controller = new AbortController();
    this.read(url, options).catch((error) => this.controller.signal.aborted || this.onerror?.({ type: "error", error }));
  }

  async read(url, { headers, method = "GET", body }) {
    const accept = { Accept: "text/event-stream", ...headers };
    const response = await fetch(url, { method, body, headers: accept, signal: this.controller.signal });
    if (response.status !== 200 || !response.headers.get("content-type")?.startsWith("text/event-stream")) {
      return this.onerror?.({ type: "error", status: response.status, allow: response.headers.get("allow") });
    }
    let text = "";
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      const events = text.split("\n\n");
      text = events.pop();
      for (const event of events) this.tell(event.split("\n"));
    }
    this.onerror?.({ type: "error", status: "the end" });
  }

  tell(lines) {
    const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, ""));
    if (data.length && !this.controller.signal.aborted) this.onmessage?.({ type: "message", data: data.join("\n") });
  }

  close() {
    this.controller.abort();
  }
}

const element = { textContent: "" };
Object.assign(globalThis, { WebSocket, EventSource, element, document: { getElementById: () => element } });
console.error = console.warn = console.log;
const AsyncFunction = (async () => {}).constructor;
for (const file of process.argv.slice(2)) {
  const source = readFileSync(file, "utf8");
  try {
    await (file.endsWith(".mjs") ? new AsyncFunction(source)() : runInThisContext(source, { filename: file }));
  } catch (error) {
    console.log("uncaught:", error.message ?? error);
  }
}
