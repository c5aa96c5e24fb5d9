// The cards: pictures that the models made, and links to the tabs.
const make = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);

for (const card of element.querySelectorAll(".card"))
  card.addEventListener("click", (event) => {
    // A new window, or a tab that is hidden in the menu of a narrow page: follow the link.
    const button = document.querySelector(`button[role=tab][data-tab-id="${card.dataset.tab}"]`);
    if (event.ctrlKey || event.metaKey || event.shiftKey || !button?.offsetParent) return;
    event.preventDefault();
    button.click();
    scrollTo(0, 0);
  });

function row({ label, url, urls }) {
  const made = make("figure"), images = make("div");
  images.append(...(urls ?? [url]).map((src) => make("img", { src, alt: "" })));
  made.append(make("figcaption", { textContent: label }), images);
  return made;
}

function square({ label, weights }, most) {
  const made = make("figure"), box = make("i");
  box.style.width = `${100 * Math.sqrt(weights / most)}%`;
  made.append(make("div"), make("figcaption", { textContent: `${label}: ${weights.toLocaleString("en")}` }));
  made.firstChild.append(box);
  return made;
}

function columns(lengths, longest) {
  const made = make("div");
  made.append(...lengths.map((length) => {
    const bar = make("i");
    bar.style.height = `${(100 * length) / longest}%`;
    return bar;
  }));
  return made;
}

function picture({ rows, nets, columns: lengths }) {
  if (rows) return rows.map(row);
  if (nets) return nets.map((net) => square(net, Math.max(...nets.map((each) => each.weights))));
  return lengths.map((each) => columns(each, Math.max(...lengths[0])));
}

function show() {
  for (const [tab, found] of Object.entries(props.value ?? {})) {
    const card = element.querySelector(`[data-tab=${tab}]`);
    if (card.classList.contains("filled")) continue;
    card.classList.add("filled");
    card.querySelector(".picture").replaceChildren(...picture(found));
    card.querySelector(".fact").textContent = found.fact;
  }
}
watch("value", show);
show();
