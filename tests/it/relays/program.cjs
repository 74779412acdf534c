// A program after Zoom's documentation, with the packages of Zoom's quickstart: express takes the webhooks, ws the stream.
// It prints what it receives as lines of JSON. Its environment holds CLIENT_ID, CLIENT_SECRET and SECRET_TOKEN.
"use strict";

const crypto = require("node:crypto");
const express = require("express");
const WebSocket = require("ws");

const { CLIENT_ID, CLIENT_SECRET, SECRET_TOKEN } = process.env;

const say = (what) => console.log(JSON.stringify(what));
const hmac = (key, text) => crypto.createHmac("sha256", key).update(text).digest("hex");
const checksum = (data) => crypto.createHash("sha256").update(data).digest().readUInt32BE(0);

function handshake(type, { meeting_uuid, rtms_stream_id }, more) {
  const signature = hmac(CLIENT_SECRET, `${CLIENT_ID},${meeting_uuid},${rtms_stream_id}`);
  const fields = { protocol_version: 1, sequence: 1, meeting_uuid, rtms_stream_id, signature };
  return JSON.stringify({ msg_type: type, ...fields, ...more });
}

function answerKeepAlive(socket, message) {
  if (message.msg_type === 12) {
    socket.send(JSON.stringify({ msg_type: 13, timestamp: message.timestamp }));
  }
}

function openMedia(payload, url, signaling) {
  const media = new WebSocket(url);
  media.on("open", () => media.send(handshake(3, payload, { media_type: 32 })));
  media.on("message", (data) => {
    const message = JSON.parse(data);
    answerKeepAlive(media, message);
    const { content } = message;
    if (message.msg_type === 4) {
      say({ granted: message.status_code });
      signaling.send(JSON.stringify({ msg_type: 7, rtms_stream_id: payload.rtms_stream_id }));
    } else if (message.msg_type === 14) {
      const payload = Buffer.from(content.data, "base64");
      say({ at: content.timestamp, bytes: payload.length, sum: checksum(payload) });
    } else if (message.msg_type === 17) {
      say({ text: content.data, who: content.user_name });
    }
  });
  media.on("error", (error) => say({ error: String(error) }));
}

function join(payload) {
  const signaling = new WebSocket(payload.server_urls);
  signaling.on("open", () => signaling.send(handshake(1, payload)));
  signaling.on("message", (data) => {
    const message = JSON.parse(data);
    answerKeepAlive(signaling, message);
    if (message.msg_type === 2 && message.status_code === 0) {
      const events = [2, 3, 4].map((event_type) => ({ event_type, subscribe: true }));
      signaling.send(JSON.stringify({ msg_type: 5, events }));
      openMedia(payload, message.media_server.server_urls.all, signaling);
    } else if (message.msg_type === 6) {
      say({ event: message.event.event_type });
    } else if (message.msg_type === 8) {
      say({ state: message.state });
    }
  });
  signaling.on("error", (error) => say({ error: String(error) }));
}

const app = express();
app.use(express.raw({ type: "*/*" }));
app.post("/zoom", (request, response) => {
  const timestamp = request.header("x-zm-request-timestamp");
  const expected = `v0=${hmac(SECRET_TOKEN, `v0:${timestamp}:${request.body}`)}`;
  if (request.header("x-zm-signature") !== expected) {
    say({ forged: true });
    return response.sendStatus(401);
  }
  const { event, payload } = JSON.parse(request.body);
  say({ webhook: event });
  if (event === "endpoint.url_validation") {
    const { plainToken } = payload;
    return response.json({ plainToken, encryptedToken: hmac(SECRET_TOKEN, plainToken) });
  }
  response.sendStatus(200);
  if (event === "meeting.rtms_started") {
    join(payload);
  } else if (event === "meeting.rtms_stopped") {
    say({ stopped: payload.stop_reason });
  }
});

const server = app.listen(0, "127.0.0.1", () => say({ listening: server.address().port }));
