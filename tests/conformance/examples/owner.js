const token = "eyJhbGciOiJIUzI1NiIs..."; // JWT access token or API key
const ws = new WebSocket(`wss://example.com/ws?token=${token}`);

ws.onopen = () => {
console.log("Connected as owner");

// Subscribe to quiz channels
ws.send(JSON.stringify({
action: "subscribe",
subscriptions: ["quiz:42", "quiz:99"]
}));
};

ws.onmessage = (event) => {
const msg = JSON.parse(event.data);

switch (msg.event) {
case "subscribed":
console.log("Subscribed to:", msg.subscriptions);
break;

case "error":
console.error("WS error:", msg.error);
break;

case "update":
switch (msg.t) {
case "attempt_quiz":
console.log(`${msg.data.alias} started attempt ${msg.data.attempt_id}`);
break;
case "attempt_update":
console.log(`${msg.data.alias} answered Q${msg.data.question_order}: ${msg.data.is_correct ? "✓" : "✗"}`);
break;
case "attempt_finished":
console.log(`${msg.data.alias} finished in ${msg.data.time_taken_ms}ms`);
break;
case "attempt_flagged":
console.warn(`${msg.data.alias} flagged: ${msg.data.labels.join(", ")}`);
break;
}
break;
}
};

ws.onclose = (event) => {
console.log("Disconnected:", event.code, event.reason);
// Implement reconnection with exponential backoff
};
