// Live listening: the frames of the live WebSocket, mixed by WebAudio, and the newest shared picture.

const id = document.getElementById("session").dataset.id;
const button = document.getElementById("listen");
const level = document.getElementById("level");
const screen = document.getElementById("screen");
const picture = document.getElementById("shared");

/** How far ahead sound is scheduled, in seconds: frames do not come evenly. */
const AHEAD = 0.25;
/** A voice that runs further ahead than this is behind the meeting: its frames are dropped. */
const MOST_AHEAD = 2;

let audio = null;
let socket = null;
let sound = null;
const next = new Map();

button.addEventListener("click", () => (socket ? stop("") : start()));

function start() {
  audio ??= new AudioContext();
  audio.resume();
  const origin = location.origin.replace(/^http/, "ws");
  const query = "media=audio,share&kinds=sharing_stopped&format=binary&from=now";
  socket = new WebSocket(`${origin}/api/v1/sdk/sessions/${id}/live?${query}`, ["rtmsd"]);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => (typeof data === "string" ? text(JSON.parse(data)) : frame(data)));
  let end = "The live connection could not be opened.";
  socket.addEventListener("open", () => { end = "The live connection has ended."; });
  socket.addEventListener("close", (event) => event.target === socket && stop(end));
  button.textContent = "Stop listening";
  button.setAttribute("aria-pressed", "true");
  level.textContent = "Waiting for sound.";
}

function stop(words) {
  const old = socket;
  socket = null;
  old?.close();
  next.clear();
  audio?.suspend();
  button.textContent = "Listen";
  button.setAttribute("aria-pressed", "false");
  level.textContent = words;
}

function text(message) {
  const stream = message.type === "hello" ? message.streams.at(-1) : message.type === "stream" ? message : null;
  if (stream?.parameters?.audio) sound = stream.parameters.audio;
  if (message.type === "entry" && message.kind === "sharing_stopped") screen.hidden = true;
}

/** A frame: the length of its head in two bytes, the head in JSON, the payload. */
function frame(data) {
  const length = new DataView(data).getUint16(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 2, length)));
  const payload = new Uint8Array(data, 2 + length);
  if (head.medium === "share") show(head, payload);
  if (head.medium === "audio") play(head, payload);
}

function show(head, payload) {
  const type = payload[0] === 0xff ? "image/jpeg" : payload[0] === 0x89 ? "image/png" : null;
  if (!type) return;
  const old = picture.src;
  picture.src = URL.createObjectURL(new Blob([payload], { type }));
  if (old) URL.revokeObjectURL(old);
  picture.alt = `The screen that ${head.user_name ?? "a participant"} shares`;
  document.getElementById("shared-by").textContent = `Shared by ${head.user_name ?? "a participant"}`;
  screen.hidden = false;
}

function play(head, payload) {
  if (sound?.codec && sound.codec !== "l16") {
    say(`The sound is ${sound.codec}; this page plays l16 (AUDIO_CODEC).`);
    return;
  }
  const samples = decode(payload);
  if (samples.length === 0) return;
  const buffer = audio.createBuffer(1, samples.length, sound?.sample_rate ?? 16000);
  buffer.copyToChannel(samples, 0);
  schedule(head.channel_id ?? head.user_id ?? 0, buffer);
  say(`Playing${head.user_name ? ` ${head.user_name}` : ""}.`);
}

/** Frames come every 20 ms: a screen reader reads a line only when it differs. */
function say(words) {
  if (level.textContent !== words) level.textContent = words;
}

/** 16 bits, the low byte first; of stereo the first channel. */
function decode(payload) {
  const step = sound?.channel === "stereo" ? 2 : 1;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const samples = new Float32Array(Math.floor(payload.byteLength / 2 / step));
  for (let index = 0; index < samples.length; index += 1) {
    samples[index] = view.getInt16(index * 2 * step, true) / 32768;
  }
  return samples;
}

/** Each voice has its own time line; the audio graph mixes them. */
function schedule(voice, buffer) {
  const now = audio.currentTime;
  const at = Math.max(next.get(voice) ?? 0, now + AHEAD);
  if (at > now + MOST_AHEAD) return;
  const source = new AudioBufferSourceNode(audio, { buffer });
  source.connect(audio.destination);
  source.start(at);
  next.set(voice, at + buffer.duration);
}
