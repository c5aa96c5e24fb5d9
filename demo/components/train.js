// Questions about what a visitor has; the server writes the commands for every change. What was typed to one kind is
// kept while another is looked at.
const $ = (selector) => element.querySelector(selector);
const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const typed = {};
let kind = null, asked = 0, waiting = null;

function question({ name, label, default: usual, help, choices, low, high, number, optional }) {
  const id = `yourown-${kind}-${name}`;
  const value = typed[kind][name] ?? usual;
  const input = choices.length
    ? make("select", { id }, ...choices.map(([known, words]) => make("option", { value: known, textContent: words })))
    : make("input", { id, type: number ? "number" : "text", maxLength: 300, spellcheck: false });
  if (number) Object.assign(input, { min: low, max: high, step: 1, placeholder: optional ? "any" : "" });
  if (!number && optional) input.placeholder = "found by its usual names";
  input.value = value;
  input.addEventListener("input", () => { typed[kind][name] = input.value; soon(); });
  const short = (number && help.length < 40) || (choices.length && choices.every(([, words]) => words.length < 18));
  const made = make("div", { className: short ? "field" : "field wide" }, make("label", { htmlFor: id, textContent: label }), input);
  if (!help) return made;
  input.setAttribute("aria-describedby", `${id}-help`);
  made.append(make("small", { id: `${id}-help`, textContent: help }));
  return made;
}

function choose(chosen) {
  kind = chosen;
  typed[kind] ??= {};
  const { fields } = props.value.kinds.find((each) => each.kind === kind);
  $(".fields").replaceChildren(...fields.map(question));
  write();
}

function show() {
  if (!props.value || kind) return;
  const buttons = props.value.kinds.map(({ kind: name, title }, i) => {
    const input = make("input", { type: "radio", name: "yourown-kind", value: name, checked: !i });
    input.addEventListener("change", () => choose(name));
    return make("label", {}, input, title);
  });
  $(".kinds").append(...buttons);
  choose(props.value.kinds[0].kind);
}

// A number as such: "" is no answer, and half a number is for the server to refuse.
function answers() {
  const { fields } = props.value.kinds.find((each) => each.kind === kind);
  const entry = ({ name, number }) => {
    const text = typed[kind][name];
    return text === undefined ? [] : [[name, number && text !== "" ? Number(text) : text]];
  };
  return Object.fromEntries(fields.flatMap(entry));
}

function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(write, 150);
}

async function write() {
  const turn = ++asked;
  const answer = await server.write({ kind, answers: answers() }).catch(() => ({ refused: "The page does not answer: try again." }));
  if (turn !== asked) return;
  $(".refused").textContent = answer.refused ?? "";
  $("ol").classList.toggle("stale", Boolean(answer.refused));
  if (answer.refused) return;
  $("ol").replaceChildren(...answer.steps.map(step));
  $(".time").textContent = answer.time;
}

// An option is not broken at its hyphens; anything longer may be, or a phone would scroll sideways.
const whole = (code) => code.split(/(?<= )(?=--)|(?<=--[\w-]+)(?= )/).map((part) => (/^--[\w-]+$/.test(part) ? make("span", { textContent: part }) : part));

function step({ title, note, code }) {
  const button = make("button", { type: "button", textContent: "Copy", ariaLabel: `Copy: ${title}` });
  const head = make("div", { className: "about" }, make("h4", { textContent: title }), make("p", { textContent: note }));
  const shown = make("code", {}, ...whole(code));
  copies(button, () => getSelection().selectAllChildren(shown), () => code);
  return make("li", {}, head, make("div", { className: "code" }, make("pre", { tabIndex: 0, ariaLabel: title, role: "group" }, shown), button));
}
watch("value", show);
show();
