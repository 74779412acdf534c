// What every page of the dashboard does: proves its requests, renders times, says when the daemon is away.
import { csrf } from "./api.js";
import { renderTimes } from "./times.js";

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["rtmsd-csrf"] = csrf();
  // Fields that nobody filled in stay out of the address.
  const fields = event.detail.formData;
  if (event.detail.verb === "get" && fields) {
    for (const [name, value] of [...fields]) if (value === "") fields.delete(name);
  }
});

const notice = document.getElementById("notice");

/** Shows a line at the foot of the page; without a text, removes it. */
export function say(text) {
  if (notice.textContent !== text) notice.textContent = text;
}

document.addEventListener("htmx:sendError", () => say("The daemon does not answer. Trying again."));
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  if (status !== 401) say(`The daemon answered ${status}. Trying again.`);
});
document.addEventListener("htmx:afterSwap", (event) => {
  say("");
  renderTimes(event.detail.elt.parentElement ?? document);
});

renderTimes(document);
