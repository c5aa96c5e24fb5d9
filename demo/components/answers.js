// What each network says: its likeliest classes, as bars.
const $ = (selector) => element.querySelector(selector);

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function netOf({ title, network, top }) {
  const section = make("section", "net"), list = make("ol", "top"), head = make("h3", "", title);
  section.append(head, make("small", "", network), list);
  for (const { name, p, words } of top) {
    const item = make("li"), bar = make("i");
    bar.style.width = `${Math.max(0.5, 100 * p)}%`;
    item.append(make("span", "name", name), make("b", "", words), bar);
    list.append(item);
  }
  return section;
}

function show() {
  const value = props.value;
  if (!value) return;
  $(".words").textContent = value.words ?? value.note;
  $(".outside").hidden = value.in_scope !== false;
  if (value.outside) $(".outside").textContent = value.outside;
  $(".says").classList.toggle("unsure", value.in_scope === false);
  $(".sees").hidden = !value.sees;
  $(".nets").replaceChildren(...(value.nets ?? []).map(netOf));
  if (!value.sees) return;
  $(".sees img").src = value.sees;
  $(".size").textContent = value.size;
  $(".sees h3").textContent = value.nets.length > 1 ? "What they see" : "What it sees";
}
watch("value", show);
show();
