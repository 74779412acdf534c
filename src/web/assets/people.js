// Who takes part, who speaks now, and a colour for each: the same in the transcript, the chat and the list.

const COLOURS = 8;
const people = new Map();
const list = document.getElementById("people");
const empty = document.getElementById("people-empty");

/** The person of an entry: known by channel or id, else by name. */
function person(entry) {
  const key = String(entry.channel_id ?? entry.user_id ?? entry.user_name ?? "?");
  let found = people.get(key);
  if (!found) {
    found = { colour: `v${people.size % COLOURS}`, name: "", item: null };
    people.set(key, found);
  }
  if (entry.user_name) found.name = entry.user_name;
  if (!found.name) found.name = entry.channel_id ? `Channel ${entry.channel_id}` : `Participant ${key}`;
  return found;
}

/** The name of the person of an entry, in the person's colour. */
export function nameOf(entry) {
  const { name, colour } = person(entry);
  const element = document.createElement("bdi");
  element.className = `voice ${colour}`;
  element.textContent = name;
  return element;
}

export function joined(entry) {
  const found = person(entry);
  if (!found.item) {
    found.item = document.createElement("li");
    list.append(found.item);
  }
  found.item.replaceChildren(nameOf(entry));
  found.item.classList.remove("gone");
  empty.hidden = true;
}

export function left(entry) {
  joined(entry);
  const { item } = person(entry);
  item.classList.remove("speaks");
  item.classList.add("gone");
  item.append(small("left"));
}

export function speaks(entry) {
  if (!entry.user_id) return;
  if (!person(entry).item) joined(entry);
  for (const other of list.querySelectorAll(".speaks")) {
    other.classList.remove("speaks");
    other.querySelector(".small")?.remove();
  }
  const { item } = person(entry);
  item.classList.add("speaks");
  item.append(small("speaks"));
}

function small(text) {
  const element = document.createElement("span");
  element.className = "faint small";
  element.textContent = ` ${text}`;
  return element;
}
