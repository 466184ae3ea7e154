// The contract's "Example: Monitoring a Task" by Node's `ws`: node monitor.mjs URL, with the contract's subscription and its end as lines
// of standard input. Prints each frame that it hears as a line; unsubscribes when the task is over, and leaves.
import { readFileSync } from "node:fs";
import WebSocket from "ws";

const [subscribe, unsubscribe] = readFileSync(0, "utf8").trim().split("\n");
const socket = new WebSocket(process.argv[2]);

socket.on("open", () => socket.send(subscribe));
socket.on("message", (data) => {
  console.log(data.toString());
  const { type } = JSON.parse(data);
  if (type === "task_completion" || type === "task_error") {
    socket.send(unsubscribe);
    socket.close(1000);
  }
});
socket.on("close", (code) => console.log(JSON.stringify(code)));
socket.on("error", (error) => {
  console.log(JSON.stringify(error.message));
  process.exitCode = 1;
});
