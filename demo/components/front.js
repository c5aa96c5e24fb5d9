// Accuracy against what it takes (on a logarithmic scale). Each point names its network.
const $ = (selector) => element.querySelector(selector);
const HINT = "Point at one, tap it, or go through them with the arrow keys.";
let axis = null, width = 0;

function amount(number) {
  const [unit, name] = number >= 1e9 ? [1e9, " G"] : number >= 1e6 ? [1e6, " M"] : number >= 1e3 ? [1e3, " k"] : [1, ""];
  return `${Number((number / unit).toPrecision(3))}${name}`;
}

const share = (value) => (100 * value).toFixed(1);

function words({ network, accuracy, std, n, published, ...takes }) {
  const runs = n > 1 ? ` ± ${(100 * (std ?? 0)).toFixed(1)} over ${n} runs` : "";
  const needs = props.value.axes.filter(({ field }) => takes[field] > 0).map(({ field, short }) => `, ${amount(takes[field])} ${short}`);
  return `${network}: ${share(accuracy)} %${runs}${needs.join("")}${published ? ", published" : ""}`;
}

// Rising from left to right, no point above them to the left.
function best(points) {
  let top = -1;
  return points.filter(({ accuracy }) => accuracy > top && (top = accuracy));
}

const SYMBOLS = {
  main: () => shape("circle", { class: "dot main", r: 5.5 }),
  other: () => shape("rect", { class: "dot other", x: -5, y: -5, width: 10, height: 10 }),
  published: () => shape("path", { class: "dot published", d: "M0-6.5 6.5 0 0 6.5-6.5 0z" }),
};

function ticks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const step of [1, 2, 5]) if (step * 10 ** power >= low && step * 10 ** power <= high) found.push(step * 10 ** power);
  return found.length > 7 ? found.filter((value) => String(value / 10 ** Math.floor(Math.log10(value) + 1e-9))[0] === "1") : found;
}

function plot() {
  const { points, chosen, axes } = props.value, { field, unit } = axes.find((each) => each.field === axis);
  const shown = points.filter((point) => point[field] > 0).sort((a, b) => a[field] - b[field]);
  width = $(".plot").clientWidth;
  if (!shown.length || !width) return;
  const height = Math.min(420, Math.max(280, width * 0.45)), left = 44, right = width - 16, top = 12, bottom = height - 42;
  const low = shown[0][field] / 1.35, high = shown.at(-1)[field] * 1.35;
  const worst = Math.min(...shown.map((p) => p.accuracy - (p.std ?? 0))), finest = Math.max(...shown.map((p) => p.accuracy + (p.std ?? 0)));
  const edge = Math.max(0.004, 0.08 * (finest - worst));
  const x = (value) => left + ((right - left) * Math.log(value / low)) / Math.log(high / low);
  const y = (value) => bottom - ((bottom - top) * (value - worst + edge)) / (finest - worst + 2 * edge);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": `Accuracy against ${unit}` });
  const step = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find((s) => (finest - worst) / s < 7) ?? 0.2;
  for (let value = Math.ceil((worst - edge) / step) * step; value <= finest + edge; value += step) {
    svg.append(shape("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }));
    svg.append(shape("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, `${Number((100 * value).toFixed(1))} %`));
  }
  for (const value of ticks(low, high)) {
    svg.append(shape("line", { class: "grid", x1: x(value), x2: x(value), y1: bottom, y2: bottom + 5 }));
    svg.append(shape("text", { x: x(value), y: bottom + 19, "text-anchor": "middle" }, amount(value)));
  }
  svg.append(shape("text", { x: right, y: height - 4, "text-anchor": "end", class: "unit" }, unit));
  const line = best(shown.filter((point) => !point.published)).map((p) => `${x(p[field])} ${y(p.accuracy)}`);
  svg.append(shape("path", { class: "edge", d: `M${line.join("L")}` }));
  const shapes = shown.map((point) => {
    const node = shape("g", { class: "point", transform: `translate(${x(point[field])} ${y(point.accuracy)})` });
    const reach = (y(0) - y(point.std ?? 0)) || 0;
    node.append(shape("circle", { class: "reach", r: 13 }), shape("line", { class: "error", y1: -reach, y2: reach }), SYMBOLS[point.kind]());
    if (chosen.includes(point.network)) node.append(shape("circle", { class: "chosen", r: 10 }));
    return { node, words: words(point) };
  });
  svg.append(...shapes.map(({ node }) => node));
  for (const point of shown.filter(({ network }) => chosen.includes(network))) {
    const end = x(point[field]) > (left + right) / 2, below = point.network === chosen[0];
    const at = { x: x(point[field]) + (end ? -13 : 13), y: y(point.accuracy) + (below ? 20 : -12), "text-anchor": end ? "end" : "start" };
    svg.append(shape("text", { class: "name", ...at }, point.network));
  }
  explore(shapes, (text) => { $(".said").textContent = text; });
  $(".said").textContent = HINT;
  $(".plot").replaceChildren(svg);
}

function axisOf({ field, label }) {
  const made = document.createElement("label"), input = Object.assign(document.createElement("input"), { type: "radio", name: "axis", value: field, checked: field === axis });
  input.addEventListener("change", () => { axis = field; plot(); });
  made.append(input, ` ${label}`);
  return made;
}

function keyOf({ kind, label }) {
  const svg = shape("svg", { viewBox: "-8 -8 16 16" });
  svg.append(SYMBOLS[kind]());
  return [svg, label];
}

new ResizeObserver(() => { if (props.value?.points?.length && $(".plot").clientWidth !== width) plot(); }).observe($(".plot"));

function show() {
  const { points = [], axes = [], key = [], lead } = props.value ?? {};
  $(".front").hidden = !points.length;
  if (!points.length) return;
  const timed = axes.filter(({ field }) => points.some((point) => point[field] > 0));
  if (!timed.some(({ field }) => field === axis)) axis = timed[0].field;
  $(".lead").textContent = lead;
  $(".axis").hidden = timed.length < 2;
  $(".axis").replaceChildren(...timed.map(axisOf));
  const line = shape("svg", { viewBox: "-12 -8 24 16" });
  line.append(shape("path", { class: "edge", d: "M-11 0H11" }));
  $(".key").replaceChildren(...key.flatMap(keyOf), line, "best");
  plot();
}
watch("value", show);
show();
