// The form that starts RTMS for a meeting: a session is made, or found, and Zoom is asked.
import { call } from "./api.js";

const SESSIONS = "/api/v1/sdk/sessions";
const form = document.getElementById("start");
const answer = document.getElementById("start-answer");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  answer.className = "notice";
  answer.textContent = "Asking Zoom…";
  try {
    const id = await start();
    answer.className = "notice good";
    answer.textContent = "Zoom accepted the request. The session opens.";
    location.assign(`/dashboard/sessions/${id}`);
  } catch (error) {
    answer.className = "notice bad";
    answer.textContent = error.message;
  } finally {
    button.disabled = false;
  }
});

async function start() {
  const fields = new FormData(form);
  const wanted = { platform: "zoom", meeting_id: fields.get("meeting_id").replaceAll(/[\s-]/g, "") };
  if (fields.get("app")) wanted.app = fields.get("app");
  const { data } = await call("POST", SESSIONS, wanted);
  await call("POST", `${SESSIONS}/${data.session.id}/rtms/start`);
  return data.session.id;
}
