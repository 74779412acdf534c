// Calls the REST API with the cookie of the dashboard.

/** The value that proves that a page of ours makes a change. */
export function csrf() {
  return document.querySelector("meta[name=csrf]").content;
}

/** The answer's envelope; throws an error with the daemon's own words. */
export async function call(method, path, body) {
  const headers = { accept: "application/json" };
  if (method !== "GET") headers["rtmsd-csrf"] = csrf();
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const envelope = await answer.json().catch(() => null);
  if (answer.ok && envelope) return envelope;
  throw new Error(problem(answer.status, envelope));
}

function problem(status, envelope) {
  if (status === 401) return "You are signed out. Reload the page to sign in again.";
  const error = envelope?.error;
  if (!error) return `The daemon answered ${status}.`;
  const zoom = error.zoom?.message ? ` Zoom says: ${error.zoom.message}` : "";
  return `${error.detail}.${zoom}`;
}
