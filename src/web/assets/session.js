// The page of one session: transcript, chat and participants as they come, as server-sent events.
import { joined, left, nameOf, speaks } from "./people.js";
import { renderTimes } from "./times.js";

/** The most lines on the page; the downloads have all of them. */
const MAX_LINES = 500;

const { id, over } = document.getElementById("session").dataset;
const said = document.getElementById("said");
const chat = document.getElementById("chat");

const settling = new Set();

/** Adds an element at the end, and stays there if the reader is there. */
function append(log, element) {
  settle(log);
  log.append(element);
  while (log.childElementCount > MAX_LINES) log.firstElementChild.remove();
  document.getElementById(`${log.id}-empty`).hidden = true;
}

/** Looks at the place of the reader once for all lines of a frame: it costs a layout. */
function settle(log) {
  if (settling.has(log)) return;
  settling.add(log);
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  requestAnimationFrame(() => {
    settling.delete(log);
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  });
}

function line(entry, text) {
  const element = document.createElement("div");
  const time = document.createElement("time");
  time.dateTime = entry.at;
  time.dataset.form = "clock";
  const words = document.createElement("span");
  words.dir = "auto";
  words.textContent = text;
  const body = document.createElement("p");
  body.append(nameOf(entry), " ", words);
  element.append(time, body);
  renderTimes(element);
  return element;
}

function message(entry) {
  const known = entry.message_id && [...chat.children].find((other) => other.dataset.id === entry.message_id);
  if (known && entry.operation_name === "update") {
    known.querySelector("p > span").textContent = entry.text;
  } else if (known && entry.operation_name === "delete") {
    known.classList.add("gone");
  } else if (entry.text && (!entry.operation_name || entry.operation_name === "new")) {
    const element = line(entry, entry.text);
    if (entry.message_id) element.dataset.id = entry.message_id;
    append(chat, element);
  }
}

const handlers = {
  // Attribute 3 deletes a line that was said before.
  transcript: (entry) => entry.attribute !== 3 && append(said, line(entry, entry.text)),
  chat: message,
  participant_joined: joined,
  participant_left: left,
  active_speaker: speaks,
  link_up: changed,
  link_down: changed,
  stream_state: changed,
  ended: changed,
};

/** Reads the parts of the page that show the state again. */
function changed() {
  clearTimeout(changed.timer);
  changed.timer = setTimeout(() => document.body.dispatchEvent(new Event("session-changed")), 200);
}

/** The waits before the next try after a refusal, in milliseconds. */
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30000;
let wait = FIRST_WAIT;
let last = "";

/**
 * Follows the entries behind the last one. A browser reconnects by itself, but not after a refusal; of a session that is
 * over, an answer without entries is the end.
 */
function follow() {
  const after = last && `&after=${encodeURIComponent(last)}`;
  const source = new EventSource(`/api/v1/sdk/sessions/${id}/events?kinds=${Object.keys(handlers).join(",")}${after}`);
  for (const [kind, handle] of Object.entries(handlers)) {
    source.addEventListener(kind, (event) => {
      handle(JSON.parse(event.data));
      last = event.lastEventId;
      wait = FIRST_WAIT;
    });
  }
  source.addEventListener("end", () => {
    source.close();
    changed();
  });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED || over !== undefined) return;
    setTimeout(follow, wait);
    wait = Math.min(2 * wait, LONGEST_WAIT);
  });
}

follow();

// The commands of "JSON and curl" name this server.
for (const code of document.querySelectorAll("code[data-path]")) {
  code.textContent = code.textContent.replace("$URL", location.origin);
}
