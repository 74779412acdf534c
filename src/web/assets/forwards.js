// The servers to which the session is sent.
import { call } from "./api.js";

const id = document.getElementById("session").dataset.id;
const path = `/api/v1/sdk/sessions/${id}/forward`;
const list = document.getElementById("forwards");
const form = document.getElementById("forward");
const answer = document.getElementById("forward-answer");

async function show() {
  const { data } = await call("GET", path);
  list.replaceChildren(...data.forwards.map(item));
  document.getElementById("forwards-empty").hidden = data.forwards.length > 0;
}

function item(forward) {
  const element = document.createElement("li");
  const url = document.createElement("code");
  url.textContent = forward.url;
  const state = document.createElement("span");
  state.className = "mark";
  state.textContent = forward.state ?? "stored";
  element.append(url, " ", state);
  if (form) element.append(" ", removeButton(forward));
  return element;
}

function removeButton(forward) {
  const button = document.createElement("button");
  button.className = "quiet";
  button.textContent = "Remove";
  button.setAttribute("aria-label", `Remove the forward to ${forward.url}`);
  button.addEventListener("click", () => attempt(() => call("DELETE", `${path}/${forward.id}`), "Removed."));
  return button;
}

/** Does something, and says how it went. */
async function attempt(change, done) {
  try {
    await change();
    answer.className = "notice good";
    answer.textContent = done;
    await show();
  } catch (error) {
    answer.className = "notice bad";
    answer.textContent = error.message;
  }
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const url = new FormData(form).get("url");
  attempt(() => call("POST", path, { url }), "The session is sent there from now on.");
});

show().catch(() => {});
