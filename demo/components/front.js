// Accuracy against what it takes (on a logarithmic scale). Each point names its network.
const $ = (selector) => element.querySelector(selector);
const HINT = "Point at one, tap it, or go through them with the arrow keys.";
let axis = null, width = 0;

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

function plot() {
  const { points, chosen, axes } = props.value, { field, unit } = axes.find((each) => each.field === axis);
  width = $(".plot").clientWidth;
  const shown = points.filter((point) => point[field] > 0).sort((a, b) => a[field] - b[field]).map((point) => {
    const ringed = !point.published && chosen.includes(point.network);
    return { ...point, x: point[field], y: point.accuracy, y_error: point.std, ringed, label: ringed ? point.network : "" };
  });
  if (!shown.length || !width) return;
  const lines = [{ kind: "main", points: best(shown.filter((point) => !point.published)) }];
  const { svg, nodes } = plotted({ width, x: { log: true }, y: { percent: true }, points: shown, lines, title: `Accuracy against ${unit}` });
  explore(shown.map((point, i) => ({ node: nodes[i], words: words(point) })), (text) => { $(".said").textContent = text; });
  $(".said").textContent = HINT;
  $(".unit").textContent = unit;
  $(".plot").replaceChildren(svg);
}

function axisOf({ field, label }) {
  const made = document.createElement("label"), input = Object.assign(document.createElement("input"), { type: "radio", name: "axis", value: field, checked: field === axis });
  input.addEventListener("change", () => { axis = field; plot(); });
  made.append(input, ` ${label}`);
  return made;
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
  line.append(shape("path", { class: "edge main", d: "M-11 0H11" }));
  $(".key").replaceChildren(...key.flatMap(({ kind, label }) => keyed(kind, label)), line, "best");
  plot();
}
watch("value", show);
show();
