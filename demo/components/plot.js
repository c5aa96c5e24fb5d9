// Points on two axes as an SVG: scales, grid, error bars, lines and labels. Needs points.js.
const SYMBOLS = {
  main: () => shape("circle", { class: "dot main", r: 5.5 }),
  other: () => shape("rect", { class: "dot other", x: -5, y: -5, width: 10, height: 10 }),
  published: () => shape("path", { class: "dot published", d: "M0-6.5 6.5 0 0 6.5-6.5 0z" }),
  fourth: () => shape("path", { class: "dot fourth", d: "M0-6.5 6.2 4.7H-6.2z" }),
};

function amount(number) {
  const size = Math.abs(number);
  const [unit, name] = size >= 1e9 ? [1e9, " G"] : size >= 1e6 ? [1e6, " M"] : size >= 1e4 ? [1e3, " k"] : [1, ""];
  return `${Number((number / unit).toPrecision(3))}${name}`;
}

const written = (value, { percent }) => (percent ? `${Number((100 * value).toFixed(1))} %` : amount(value));

function evenTicks(low, high, given) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 7));
  const step = given || [1, 2, 5, 10].map((n) => n * power).find((s) => (high - low) / s < 7);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) found.push(i * step);
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const step of [1, 2, 5]) if (step * 10 ** power >= low && step * 10 ** power <= high) found.push(step * 10 ** power);
  if (found.length < 3) return evenTicks(low, high);
  return found.length > 9 ? found.filter((value) => String(value / 10 ** Math.floor(Math.log10(value) + 1e-9))[0] === "1") : found;
}

// The numbers themselves, the larger of two that are too near to be written side by side.
function ownTicks(values, at) {
  const found = [...new Set(values)].sort((a, b) => b - a);
  return found.reduce((kept, value) => (kept.some((other) => Math.abs(at(other) - at(value)) < 24) ? kept : [...kept, value]), []);
}

function scale({ log, step, own }, values, from, to) {
  const least = Math.min(...values), most = Math.max(...values);
  const room = log ? Math.max(1.15, (most / least) ** 0.08) : 0.08 * (most - least) || 0.05 * Math.abs(most) || 1;
  const [low, high] = log ? [least / room, most * room] : [least - room, most + room];
  const part = log ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
  const at = (value) => from + (to - from) * part(value);
  return { at, low, high, ticks: own ? ownTicks(values, at) : log ? logTicks(low, high) : evenTicks(low, high, step) };
}

// Both ends of a point's error bar; one that would leave a logarithmic scale is cut.
const ends = (axis, value, error) => (error ? [axis.log ? Math.max(value - error, value / 3) : value - error, value + error] : [value]);

const PLACES = [[11, 4, "start"], [-11, 4, "end"], [0, -12, "middle"], [0, 21, "middle"], [9, -9, "start"], [-9, -9, "end"], [9, 17, "start"], [-9, 17, "end"]];

// Beside, above or below each point: wherever a label meets no other and no point. One without a place is left out,
// but for those of ringed points.
function placed(spots, { left, right, top, bottom }) {
  const taken = spots.map(({ x, y }) => [x - 8, y - 8, x + 8, y + 8]);
  const inside = ([a, b, c, d]) => a >= left && c <= right && b >= top && d <= bottom;
  const free = ([a, b, c, d]) => !taken.some(([e, f, g, h]) => a < g && c > e && b < h && d > f);
  return spots.filter(({ label }) => label).flatMap(({ x, y, label, ringed }) => {
    const wide = 6.7 * label.length;
    const fits = PLACES.map(([dx, dy, anchor]) => {
      const start = x + dx - (anchor === "end" ? wide : anchor === "middle" ? wide / 2 : 0);
      return { at: { x: x + dx, y: y + dy, "text-anchor": anchor }, box: [start, y + dy - 11, start + wide, y + dy + 3] };
    }).filter(({ box }) => inside(box));
    const found = fits.find(({ box }) => free(box)) ?? (ringed ? fits[0] : null);
    if (!found) return [];
    taken.push(found.box);
    return [shape("text", { class: "name", ...found.at }, label)];
  });
}

function grid(svg, x, y, across, up, { left, right, bottom }) {
  for (const value of up.ticks) {
    svg.append(shape("line", { class: "grid", x1: left, x2: right, y1: up.at(value), y2: up.at(value) }));
    svg.append(shape("text", { x: left - 7, y: up.at(value) + 4, "text-anchor": "end" }, written(value, y)));
  }
  for (const value of across.ticks) {
    svg.append(shape("line", { class: "grid", x1: across.at(value), x2: across.at(value), y1: bottom, y2: bottom + 5 }));
    svg.append(shape("text", { x: across.at(value), y: bottom + 19, "text-anchor": "middle" }, written(value, x)));
  }
}

function bars(point, x, y, across, up) {
  const [a, b] = ends(x, point.x, point.x_error), [c, d] = ends(y, point.y, point.y_error);
  const made = [];
  if (d !== undefined) made.push(shape("line", { class: "error", y1: up.at(c) - up.at(point.y), y2: up.at(d) - up.at(point.y) }));
  if (b !== undefined) made.push(shape("line", { class: "error", x1: across.at(a) - across.at(point.x), x2: across.at(b) - across.at(point.x) }));
  return made;
}

// Where both axes have the same number.
function diagonal(across, up) {
  const from = Math.max(across.low, up.low), to = Math.min(across.high, up.high);
  return shape("path", { class: "equal", d: `M${across.at(from)} ${up.at(from)}L${across.at(to)} ${up.at(to)}` });
}

// points: x, y, kind of symbol, maybe x_error, y_error, label, ringed. lines: kind, points. equal: draw the diagonal.
// Gives the SVG and a node a point.
function plotted({ width, x, y, points, lines = [], equal = false, title }) {
  const height = Math.min(420, Math.max(280, width * 0.45));
  const rough = scale(y, points.flatMap((p) => ends(y, p.y, p.y_error)), height, 0);
  const left = 16 + 7 * Math.max(...rough.ticks.map((value) => written(value, y).length));
  const box = { left, right: width - 16, top: 8, bottom: height - 26 };
  const across = scale(x, points.flatMap((p) => ends(x, p.x, p.x_error)), box.left, box.right);
  const up = scale(y, points.flatMap((p) => ends(y, p.y, p.y_error)), box.bottom, box.top);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": title });
  grid(svg, x, y, across, up, box);
  if (equal) svg.append(diagonal(across, up));
  for (const line of lines) svg.append(shape("path", { class: `edge ${line.kind}`, d: `M${line.points.map((p) => `${across.at(p.x)} ${up.at(p.y)}`).join("L")}` }));
  const nodes = points.map((point) => {
    const node = shape("g", { class: "point", transform: `translate(${across.at(point.x)} ${up.at(point.y)})` });
    node.append(shape("circle", { class: "reach", r: 13 }), ...bars(point, x, y, across, up), SYMBOLS[point.kind]());
    if (point.ringed) node.append(shape("circle", { class: "chosen", r: 10 }));
    return node;
  });
  const spots = points.map((point) => ({ x: across.at(point.x), y: up.at(point.y), label: point.label, ringed: point.ringed }));
  svg.append(...nodes, ...placed(spots, { ...box, right: width }));
  return { svg, nodes };
}

function keyed(kind, label) {
  const svg = shape("svg", { viewBox: "-8 -8 16 16" });
  svg.append(SYMBOLS[kind]());
  return [svg, label];
}
