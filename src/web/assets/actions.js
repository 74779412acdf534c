// Start, stop, pause and resume: Zoom is asked, and its answer is shown in words.
import { call } from "./api.js";

const id = document.getElementById("session").dataset.id;
const answer = document.getElementById("answer");

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button) return;
  const action = button.dataset.action;
  if (action === "stop" && !confirm("Stop RTMS for this session?")) return;
  const buttons = document.querySelectorAll("button[data-action]");
  for (const other of buttons) other.disabled = true;
  show("", "Asking Zoom…");
  try {
    const envelope = await call("POST", `/api/v1/sdk/sessions/${id}/rtms/${action}`);
    show("good", words(envelope));
  } catch (error) {
    show("bad", error.message);
  }
  document.body.dispatchEvent(new Event("session-changed"));
});

function words({ message, data }) {
  const status = data?.zoom?.zoom_status_code;
  return status ? `${message}; Zoom accepted it (HTTP ${status}).` : `${message}.`;
}

function show(tone, text) {
  answer.className = `notice ${tone}`;
  answer.textContent = text;
}
