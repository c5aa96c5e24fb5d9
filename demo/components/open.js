// The models that are here and a card of one; where the owner allows it, a door for others.
const $ = (selector) => element.querySelector(selector);
const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const HELP = {
  all: "A folder with config.json and model.safetensors, or OWNER/NAME of a model on the Hub, with @REVISION if you like. Files that can run code are never loaded.",
  hub: "OWNER/NAME of a model on the Hub, with @REVISION if you like; up to 500 MB. Files that can run code are never loaded.",
};
let chosen = null;

function entry({ name, label, kind }) {
  const made = make("button", { type: "button", title: name, ariaPressed: String(name === chosen) }, make("b", { textContent: label }), make("small", { textContent: kind }));
  made.dataset.name = name;
  made.addEventListener("click", () => describe(name));
  return made;
}

async function describe(name) {
  const answer = await server.describe({ name }).catch(() => ({ refused: "The page does not answer: try again." }));
  $(".refused").textContent = answer.refused ?? "";
  if (answer.card) showCard(answer.card);
}

function showCard({ name, title, facts, tab, go, python }) {
  chosen = name;
  for (const button of element.querySelectorAll(".entries button")) button.ariaPressed = String(button.dataset.name === name);
  const link = make("a", { className: "button go", href: `?${new URLSearchParams({ tab, model: name })}`, textContent: go });
  const rows = facts.flatMap(([label, words]) => [make("dt", { textContent: label }), make("dd", { textContent: words })]);
  const button = make("button", { type: "button", textContent: "Copy", ariaLabel: "Copy the Python" });
  const snippet = make("code", { textContent: python });
  copies(button, () => getSelection().selectAllChildren(snippet), () => python);
  const code = make("div", { className: "code" }, make("pre", { tabIndex: 0, role: "group", ariaLabel: "In Python" }, snippet), button);
  $(".about-model").replaceChildren(make("div", { className: "headline" }, make("h4", { textContent: title }), link), make("dl", {}, ...rows), code);
}

function show() {
  if (!props.value) return;
  const { entries, allowed, doing, refused, card } = props.value;
  $(".entries").replaceChildren(...entries.map(entry));
  $(".door").hidden = allowed === "none";
  $(".closed").hidden = allowed !== "none";
  $("#yourown-asked-help").textContent = HELP[allowed] ?? "";
  $(".doing").textContent = doing ?? "";
  $(".refused").textContent = refused ?? "";
  $(".ask button").disabled = Boolean(doing);
  if (card) showCard(card);
  else if (!chosen && entries.length) describe(entries[0].name);
}

$(".door").addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = $(".door input").value.trim();
  if (asked) trigger("open", { asked });
});
watch("value", show);
show();
