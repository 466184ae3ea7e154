// Node with ws: one frame made once for all members, and one write for each member and turn of the loop. Arguments: the port. `PEER_KEY`
// names the file with the secret of the tokens. Wants --expose-gc.

import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Sender, WebSocketServer } from "ws";

const SECRET = createSecretKey(Buffer.from(readFileSync(process.env.PEER_KEY, "utf8").trimEnd()));
const ISSUER = "homeroom.local";
const AUDIENCE = "school.local";
const SUCCESS = '{"type":"connect_success"}';
const FRAME = { fin: true, rsv1: false, opcode: 1, mask: false, readOnly: true };
const EVENTS = /^\/api\/v1\/classrooms\/([^/]+)\/events$/;
const PING_MS = 30_000;

const classrooms = new Map();
const waiting = new Map();
let next = 1;

// Algorithm, signature, issuer, audience, subject and expiry of a token: whose it is, or nothing.
function subject(token) {
  const [head, claims, signature] = token.split(".");
  const wanted = createHmac("sha256", SECRET).update(`${head}.${claims}`).digest();
  const found = Buffer.from(signature ?? "", "base64url");
  if (found.length !== wanted.length || !timingSafeEqual(found, wanted)) return undefined;
  const { alg } = JSON.parse(Buffer.from(head, "base64url").toString());
  const { iss, aud, sub, exp } = JSON.parse(Buffer.from(claims, "base64url").toString());
  const good = alg === "HS256" && iss === ISSUER && aud === AUDIENCE && exp > Date.now() / 1000;
  return good && typeof sub === "string" && sub !== "" ? sub : undefined;
}

function signIn(socket, text) {
  const { type, payload } = JSON.parse(text);
  const who = type === "connect_request" ? subject(payload.token) : undefined;
  if (who === undefined) return false;
  let members = classrooms.get(payload.classroom_id);
  if (members === undefined) classrooms.set(payload.classroom_id, (members = new Set()));
  members.add(socket);
  socket.subject = who;
  socket.classroom = payload.classroom_id;
  socket.send(SUCCESS);
  socket.ping();
  return true;
}

// Handlers are shared: one closure a connection would be memory that nobody needs.
function attend(text) {
  if (this.subject !== undefined) return;
  let admitted = false;
  try {
    admitted = signIn(this, text);
  } catch {
    // No JSON: refused as a bad token is.
  }
  if (!admitted) this.close(1008);
}

function leave() {
  const members = classrooms.get(this.classroom);
  if (members === undefined) return;
  members.delete(this);
  if (members.size === 0) classrooms.delete(this.classroom);
}

function echo(message, isBinary) {
  this.send(message, { binary: isBinary });
}

function ignore() {}

// What was published in one turn of the loop leaves as one write.
function flush() {
  for (const [members, frames] of waiting) {
    const batch = frames.length === 1 ? frames[0] : Buffer.concat(frames);
    for (const member of members) if (member.readyState === 1) member._socket.write(batch);
  }
  waiting.clear();
}

function publish(classroom, text) {
  const members = classrooms.get(classroom);
  if (members === undefined) return 0;
  if (waiting.size === 0) setImmediate(flush);
  const frame = Buffer.concat(Sender.frame(Buffer.from(text), FRAME));
  const frames = waiting.get(members);
  if (frames === undefined) waiting.set(members, [frame]);
  else frames.push(frame);
  return members.size;
}

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const classroom = EVENTS.exec(request.url)?.[1];
    let answer = "{}";
    if (request.url === "/collect") globalThis.gc();
    if (classroom !== undefined) {
      const { entity_type, operation, sequence_id = next++, payload } = JSON.parse(Buffer.concat(parts).toString());
      const members = publish(classroom, JSON.stringify({ id: { entity_type, operation, sequence_id }, payload }));
      answer = `{"sequence_id":${sequence_id},"members":${members}}`;
    }
    response.writeHead(200, { "content-type": "application/json", "content-length": answer.length });
    response.end(answer);
  });
});

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 1 << 16, clientTracking: true });
server.on("upgrade", (request, socket, head) => {
  const echoes = request.url === "/echo";
  sockets.handleUpgrade(request, socket, head, (member) => {
    member.on("message", echoes ? echo : attend);
    member.on("error", ignore);
    if (!echoes) member.on("close", leave);
  });
});
setInterval(() => sockets.clients.forEach((member) => member.ping()), PING_MS);
server.listen({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });
