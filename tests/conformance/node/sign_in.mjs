// The contract's sign-in by Node's `ws`: node sign_in.mjs URL CLASSROOM TOKEN.
// Prints what it heard, one JSON line for each thing, and leaves after the first Ping.
import WebSocket from "ws";

const [url, classroom_id, token] = process.argv.slice(2);
const tell = (kind, data) => console.log(JSON.stringify({ kind, data }));
const socket = new WebSocket(url);

socket.on("open", () => {
  tell("open", socket.extensions);
  socket.send(JSON.stringify({ type: "connect_request", payload: { agent_label: "node", classroom_id, token } }));
});
socket.on("message", (data, binary) => tell(binary ? "binary" : "text", data.toString()));
socket.on("ping", (data) => {
  tell("ping", data.toString());
  setTimeout(() => socket.close(1000), 200);
});
socket.on("close", (code) => tell("close", code));
socket.on("error", (error) => {
  tell("error", error.message);
  process.exitCode = 1;
});
