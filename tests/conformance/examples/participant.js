const sessionToken = "abc123-session-token";
const ws = new WebSocket(`wss://example.com/ws?session=${sessionToken}`);

ws.onopen = () => {
// No subscribe needed — auto-subscribed to notification:<attempt_id>
console.log("Connected as participant");
};

ws.onmessage = (event) => {
const msg = JSON.parse(event.data);

if (msg.event === "subscribed") {
console.log("Auto-subscribed to:", msg.subscriptions);
return;
}

if (msg.event === "update" && msg.t === "attempt_closed") {
const { reason, score, answered_count, submitted_at } = msg.data;

switch (reason) {
case "time_up":
alert("Time's up! Your quiz has been submitted automatically.");
break;
case "forced_by_owner":
alert("Your quiz has been closed by the instructor.");
break;
case "submitted":
// Normal submit confirmation
break;
}

console.log(`Final score: ${score}, Answered: ${answered_count}`);
}
};

// Do NOT send any frames — participant connections are listen-only
