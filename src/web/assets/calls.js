// Buttons and forms that call the REST API: `data-call` has the method and the path. The page is loaded again when the
// call has succeeded; a secret in the answer is shown before that, once.
import { call } from "./api.js";
import { say } from "./app.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-call]");
  if (button) run(button, [button], button.dataset.body && JSON.parse(button.dataset.body));
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-call]");
  if (!form) return;
  event.preventDefault();
  run(form, form.querySelectorAll("button"), fieldsOf(form));
});

async function run(element, buttons, body) {
  const { confirm: question, done } = element.dataset;
  if (question && !confirm(question)) return;
  const [method, path] = element.dataset.call.split(" ");
  for (const button of buttons) button.disabled = true;
  say("Working…");
  try {
    const { message, data } = await call(method, path, body);
    say(`${message}.`);
    if (data?.secret) await showSecret(data.secret);
    if (done) location.assign(done);
    else location.reload();
  } catch (error) {
    say(error.message);
    for (const button of buttons) button.disabled = false;
  }
}

/** The filled fields of a form as JSON: by `data-kind` a list, days in seconds, or a text. */
function fieldsOf(form) {
  const fields = {};
  for (const field of form.elements) {
    if (!field.name || (field.type === "checkbox" && !field.checked)) continue;
    const text = field.value.trim();
    const keepsEmpty = "empty" in field.dataset;
    if (field.type === "checkbox") (fields[field.name] ??= []).push(text);
    else if (field.dataset.kind === "list") {
      if (text || keepsEmpty) fields[field.name] = text.split(/[\s,]+/).filter(Boolean);
    } else if (field.dataset.kind === "days") {
      if (text) fields[field.name] = Number(text) * 86400;
    } else if (text || keepsEmpty) fields[field.name] = text;
  }
  for (const group of form.querySelectorAll("fieldset[data-list]")) fields[group.dataset.list] ??= [];
  return fields;
}

/** Shows a secret until the person closes the dialog. */
function showSecret(secret) {
  const dialog = document.getElementById("secret");
  const field = dialog.querySelector("input");
  field.value = secret;
  dialog.showModal();
  field.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      field.value = "";
      resolve();
    }, { once: true });
  });
}

document.getElementById("copy-secret")?.addEventListener("click", async () => {
  const field = document.querySelector("#secret input");
  field.select();
  // Only pages over https, and of this machine, may write to the clipboard; elsewhere the text is selected.
  await navigator.clipboard?.writeText(field.value).then(() => say("Copied."), () => {});
});
