// Bun: its own HTTP, WebSockets and topics. Arguments: the port. `PEER_KEY` names the file with the secret of the tokens.

import { readFileSync } from "node:fs";
import { timingSafeEqual } from "node:crypto";
import type { ServerWebSocket } from "bun";

type Student = { echoes: boolean; subject: string | undefined };

const SECRET = readFileSync(process.env.PEER_KEY!, "utf8").trimEnd();
const ISSUER = "homeroom.local";
const AUDIENCE = "school.local";
const SUCCESS = '{"type":"connect_success"}';
const JSON_TYPE = { headers: { "content-type": "application/json" } };
let next = 1;

// Algorithm, signature, issuer, audience, subject and expiry of a token: whose it is, or nothing.
function subject(token: string): string | undefined {
  const [head, claims, signature] = token.split(".");
  const wanted = new Bun.CryptoHasher("sha256", SECRET).update(`${head}.${claims}`).digest();
  const found = Buffer.from(signature ?? "", "base64url");
  if (found.length !== wanted.length || !timingSafeEqual(found, wanted)) return undefined;
  const { alg } = JSON.parse(Buffer.from(head!, "base64url").toString());
  const { iss, aud, sub, exp } = JSON.parse(Buffer.from(claims!, "base64url").toString());
  const good = alg === "HS256" && iss === ISSUER && aud === AUDIENCE && exp > Date.now() / 1000;
  return good && typeof sub === "string" && sub !== "" ? sub : undefined;
}

function attend(socket: ServerWebSocket<Student>, text: string | Buffer) {
  if (socket.data.subject !== undefined) return;
  try {
    const { type, payload } = JSON.parse(text as string);
    socket.data.subject = type === "connect_request" ? subject(payload.token) : undefined;
    if (socket.data.subject !== undefined) {
      socket.subscribe(payload.classroom_id);
      socket.send(SUCCESS);
      socket.ping();
      return;
    }
  } catch {
    // No JSON: refused as a bad token is.
  }
  socket.close(1008);
}

const server = Bun.serve<Student>({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  routes: {
    "/ws": (request, server) =>
      server.upgrade(request, { data: { echoes: false, subject: undefined } }) ? undefined : new Response(null, { status: 400 }),
    "/echo": (request, server) =>
      server.upgrade(request, { data: { echoes: true, subject: undefined } }) ? undefined : new Response(null, { status: 400 }),
    "/api/v1/classrooms/:id/events": {
      POST: async (request) => {
        const { entity_type, operation, sequence_id = next++, payload } = await request.json();
        const { id } = request.params;
        server.publish(id, JSON.stringify({ id: { entity_type, operation, sequence_id }, payload }));
        return new Response(`{"sequence_id":${sequence_id},"members":${server.subscriberCount(id)}}`, JSON_TYPE);
      },
    },
    // Before somebody looks at the memory.
    "/collect": { POST: () => (Bun.gc(true), new Response("{}", JSON_TYPE)) },
  },
  websocket: {
    perMessageDeflate: false,
    maxPayloadLength: 1 << 16,
    backpressureLimit: 16 << 20,
    idleTimeout: 120,
    sendPings: true,
    message(socket, message) {
      if (socket.data.echoes) socket.send(message);
      else attend(socket, message);
    },
  },
});
