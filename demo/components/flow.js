// The text, coloured by what each word contributed, beside the slots of each layer. Picking one shows it in the other.
const $ = (selector) => element.querySelector(selector);
const HINT = "Each layer reads the slots of its row; a slot is a mix of the tokens that flowed into it.";
let drawn = "", width = 0, words = [], cells = [];
let value = null, names = []; // token -> its word

const make = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });
const percent = (share) => (share < 0.005 ? "< 1 %" : `${Math.round(100 * share)} %`);
const signed = (number) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;

// ---- what they say ----

// Tokens of one word are one entry.
function mixOf(slot) {
  const mix = new Map();
  for (const [token, weight] of slot) mix.set(names[token], (mix.get(names[token]) ?? 0) + weight);
  return [...mix].sort((a, b) => b[1] - a[1]);
}

function wordsOfSlot(layer, index, slots) {
  const mix = mixOf(slots[index]), shown = mix.slice(0, 12).map(([name, weight]) => `${name} ${percent(weight)}`);
  const more = mix.length > 12 ? ` and ${mix.length - 12} more` : "";
  return `Layer ${layer + 1}, slot ${index + 1} of ${slots.length}: ${shown.join(", ")}${more}.`;
}

const shareIn = (slot, tokens) => slot.reduce((sum, [token, weight]) => sum + (tokens.includes(token) ? weight : 0), 0);

function wordsOfWord({ text, tokens, change }) {
  const { layers, label, together } = value, slots = layers.at(-1).slots ?? [];
  const places = slots.map((slot, i) => [i + 1, shareIn(slot, tokens)]).filter(([, share]) => share > 0);
  const run = together > 1 ? ", with its neighbours" : "";
  const moved = change === null ? "" : ` ${signed(change)} log odds for ${label}${run}.`;
  const end = places.map(([slot, share]) => `slot ${slot}, ${percent(share)} of it`).join("; ");
  return `${text}:${moved} In the last layer it is in ${end || "no slot any more"}.`;
}

// ---- picking ----

function light(node, weight) {
  node.classList.toggle("in", weight > 0);
  node.style.setProperty("--w", weight > 0 ? 0.35 + 0.65 * Math.min(1, weight) : 0);
}

function clear() {
  $(".flow").classList.remove("picked");
  for (const { node } of [...words, ...cells]) { node.classList.remove("now"); light(node, 0); }
  $(".said").textContent = HINT;
}

function pick(text, node) {
  const cell = cells.find((other) => other.node === node), word = words.find((other) => other.node === node);
  const mine = cell ? cell.slot.map(([token]) => token) : word.tokens;
  clear();
  $(".flow").classList.add("picked");
  node.classList.add("now");
  const top = cell ? Math.max(...cell.slot.map(([, weight]) => weight)) : 1;
  for (const other of words) light(other.node, cell ? shareIn(cell.slot, other.tokens) / top : other === word ? 1 : 0);
  for (const other of cells) light(other.node, cell ? (other === cell ? 1 : 0) : shareIn(other.slot, mine));
  $(".said").textContent = text;
}
$(".flow").addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") clear(); });
$(".flow").addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });

// ---- drawing ----

function drawText() {
  const { words: list, rest, label, together } = value, nodes = [];
  words = list.map((word) => {
    const node = make("span", `word${word.share ? (word.change > 0 ? " for" : " against") : ""}`, word.text);
    node.style.setProperty("--s", word.share);
    if (word.skipped) nodes.push(make("small", "cut", ` … ${word.skipped.toLocaleString("en")} characters not read … `));
    nodes.push(word.before, node);
    return { node, tokens: word.tokens, words: wordsOfWord(word) };
  });
  if (rest) nodes.push(make("small", "cut", ` … ${rest.toLocaleString("en")} characters not read`));
  $(".text").replaceChildren(...nodes);
  $(".legend .label").textContent = label;
  $(".how").textContent = together > 1 ? `Found by hiding up to ${together} neighbouring words at a time.` : "Found by hiding one word at a time.";
}

function drawLayer({ factor, count, slots }, index, full, side) {
  const row = make("div", "layer"), what = make("span", "what", `Layer ${index + 1}`), holder = make("div", "cells");
  if (factor > 1) what.append(make("small", "", ` ÷${factor}`));
  for (let i = 0; i < full; i++) {
    const node = make("i", i < count ? "cell" : "cell saved");
    if (i < count && slots) cells.push({ node, slot: slots[i], words: wordsOfSlot(index, i, slots) });
    holder.append(node);
  }
  holder.style.setProperty("--side", `${side}px`);
  row.append(what, holder, make("b", "", count ? String(count) : "–"));
  return row;
}

function drawTower() {
  const { layers, depth, full } = value;
  width = $(".tower").clientWidth;
  const side = Math.max(width > 480 ? 5 : 7, Math.min(18, Math.floor((width - 120) / full) - 2)); // in one line, if a finger can still hit it
  cells = [];
  const skipped = Array.from({ length: depth - layers.length }, () => ({ factor: 1, count: 0 }));
  $(".tower").replaceChildren(...[...layers, ...skipped].map((layer, index) => drawLayer(layer, index, full, side)));
}

function draw() {
  drawText();
  drawTower();
  if (value.layers[0].slots) { explore(words, pick); explore(cells, pick); }
  clear();
}

function show() {
  const text = props.value ?? "";
  $(".flow").hidden = !text;
  if (!text || text === drawn) return; // the same again must not take away what is picked
  drawn = text;
  value = JSON.parse(text);
  names = [];
  for (const { text: name, tokens } of value.words) for (const token of tokens) names[token] = name;
  names[0] = "[CLS], the start mark";
  names[value.full - 1] = "[SEP], the end mark";
  draw();
}
new ResizeObserver(() => { if (value && $(".tower").clientWidth !== width) draw(); }).observe($(".tower"));
watch("value", show);
show();
