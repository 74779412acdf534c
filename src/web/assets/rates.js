// The live rates of the list: what came between two states of the page that differ.

const last = new Map();

function measure(element) {
  const key = element.dataset.rate;
  const now = { count: Number(element.dataset.count), at: Number(element.dataset.at) };
  const before = last.get(key);
  if (before && now.at > before.at) {
    now.rate = ((now.count - before.count) * 1000) / (now.at - before.at);
    last.set(key, now);
  } else if (!before) {
    last.set(key, now);
  }
  const rate = last.get(key).rate;
  if (rate !== undefined && now.count > 0) element.textContent = `${bytes(Math.max(0, rate))}/s`;
}

/** Bytes in words. */
export function bytes(count) {
  for (const [unit, name] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (count >= unit) return `${(count / unit).toFixed(count >= 100 * unit ? 0 : 1)} ${name}`;
  }
  return `${Math.round(count)} B`;
}

function measureAll() {
  const shown = document.querySelectorAll("[data-rate]");
  for (const element of shown) measure(element);
  const keys = new Set([...shown].map((element) => element.dataset.rate));
  for (const key of last.keys()) if (!keys.has(key)) last.delete(key);
}

document.addEventListener("htmx:afterSwap", measureAll);
measureAll();
