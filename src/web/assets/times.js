// Times in the reader's zone, with the exact one on hover.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/** Renders every <time datetime> below an element: by its data-form as a clock, an age or, by default, a date. */
export function renderTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) render(element);
}

function render(element) {
  const time = new Date(element.dateTime);
  if (Number.isNaN(time.getTime())) return;
  element.title = exact.format(time);
  const form = element.dataset.form;
  const text = form === "clock" ? clock.format(time) : form === "age" ? age(Date.now() - time) : dated(time);
  if (element.textContent !== text) element.textContent = text;
}

function dated(time) {
  const isToday = time.toDateString() === new Date().toDateString();
  return isToday ? clock.format(time) : day.format(time);
}

/** How long ago, in two units at most. */
export function age(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d`;
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-form=age]")) render(element);
}, 1000);
