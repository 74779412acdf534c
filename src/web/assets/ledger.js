// The picture of the ledger: the gap under the pointer or the keyboard, in words.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function describe(event) {
  const gap = event.target.closest?.("rect.gap");
  const words = document.getElementById("gap");
  if (!gap || !words) return;
  const start = clock.format(new Date(Number(gap.dataset.start)));
  const text = `${gap.getAttribute("aria-label")}, from ${start}.`;
  if (words.textContent !== text) words.textContent = text;
}

document.addEventListener("pointerover", describe);
document.addEventListener("focusin", describe);
