// Runs one of the contract's own examples: node example.mjs FILE URL CREDENTIAL. Only the host and the credential are put in; the browser's
// `WebSocket` is Node's `ws` here, and what a browser would show by `alert` is printed.
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";
import WebSocket from "ws";

const [file, url, credential] = process.argv.slice(2);
let source = readFileSync(file, "utf8");
const places = [["wss://example.com", url], [/"(eyJhbGciOiJIUzI1NiIs\.\.\.|abc123-session-token)"/, JSON.stringify(credential)]];
for (const [from, to] of places) {
  if (source.split(from).length < 2) throw new Error(`nothing to put in for ${from}`);
  source = source.replace(from, () => to);
}
globalThis.WebSocket = WebSocket;
globalThis.alert = (text) => console.log("alert:", text);
console.error = console.warn = console.log;
runInThisContext(source, { filename: file });
