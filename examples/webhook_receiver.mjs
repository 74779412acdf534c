// Receives rtmsd's webhooks, verifies them with the Standard Webhooks library, and prints each event once.
//
//     npm install standardwebhooks
//     WEBHOOK_SECRET=whsec_… node examples/webhook_receiver.mjs 5000
//
// The secret is in the answer to `POST /api/v1/webhooks/endpoints` with {"url": "http://127.0.0.1:5000/"}; an endpoint on
// your own machine needs WEBHOOKS_ALLOWED_HOSTS=127.0.0.1.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

// From the working directory's node_modules.
const { Webhook } = createRequire(join(process.cwd(), "_"))("standardwebhooks");

const MAX_BODY_BYTES = 1024 * 1024;
const REMEMBERED = 10_000;

const hook = new Webhook(process.env.WEBHOOK_SECRET);
// In production a table of your database, written in the transaction that processes the event.
const seen = new Set();

async function body(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > MAX_BODY_BYTES) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

async function receive(request) {
  const text = await body(request);
  if (text === null) return 413;
  let event;
  try {
    event = hook.verify(text, request.headers);
  } catch {
    return 401;
  }
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
    console.log(JSON.stringify({ id, type: event.type, data: event.data }));
  }
  return 204;
}

const server = createServer(async (request, response) => {
  const status = request.method === "POST" ? await receive(request).catch(() => 400) : 405;
  response.writeHead(status).end();
});
server.listen(Number(process.argv[2] ?? 5000), "127.0.0.1", () => {
  console.log(JSON.stringify({ listening: `http://127.0.0.1:${server.address().port}/` }));
});
