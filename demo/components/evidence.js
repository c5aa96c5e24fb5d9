// Claims: a list, and of the chosen one its sentence, plots, table and how to measure it again. All of them are here at
// once, so that choosing one asks nobody.
const $ = (selector) => element.querySelector(selector);
const KINDS = ["main", "other", "published", "fourth"];
const HINT = "Point at a mark, tap it, or go through them with the arrow keys: it tells its numbers.";
let claim = null, drawn = 0, width = 0, marks = [];

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const linkOf = ({ name }) => `?tab=evidence&claim=${encodeURIComponent(name)}`;
const titled = ({ title, better }) => `${title}${better ? ` (${better} is better)` : ""}`;

// ---- the plot ----

function told({ name, series, facts }, others) {
  const terms = facts.flatMap(([title, text]) => [make("dt", { textContent: title }), make("dd", { textContent: text })]);
  const made = make("div", { className: "told" }, make("b", { textContent: name }), ...(series === name ? [] : [make("small", { textContent: series })]), make("dl", {}, ...terms));
  if (others.length) made.append(make("p", { textContent: `Almost in the same place: ${others.join("; ")}.` }));
  return made;
}

// What its mark hides: a pointer reaches the uppermost only.
function hidden(node) {
  const centre = (each) => each.querySelector(".reach").getBoundingClientRect(), { x, y } = centre(node);
  const near = marks.filter((each) => each.node !== node && Math.hypot(centre(each.node).x - x, centre(each.node).y - y) < 7);
  return near.map(({ point }) => named(point));
}

// Beside its mark, inside the plot's width.
function tell(point, node) {
  hush();
  const plot = $(".plot"), box = plot.getBoundingClientRect(), mark = node.querySelector(".reach").getBoundingClientRect();
  const tip = told(point, hidden(node));
  plot.append(tip);
  const beside = mark.right - box.left + 4, fits = beside + tip.offsetWidth <= box.width;
  tip.style.left = `${Math.max(0, fits ? beside : mark.left - box.left - tip.offsetWidth - 4)}px`;
  tip.style.top = `${Math.max(0, Math.min(mark.top - box.top, box.height - tip.offsetHeight))}px`;
  tip.classList.toggle("over", !fits && mark.left - box.left - tip.offsetWidth - 4 < 0);
  if (tip.classList.contains("over")) tip.style.top = `${mark.bottom - box.top + 4}px`;
}

function hush() {
  $(".told")?.remove();
}

$(".plot").addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hush(); });
$(".plot").addEventListener("focusout", hush);
$(".plot").addEventListener("keydown", (event) => { if (event.key === "Escape") hush(); });
$(".plot").addEventListener("click", (event) => { if (!event.target.closest(".point")) hush(); });

const named = ({ name, series }) => (series === name ? name : `${name}, ${series}`);
const words = (point) => `${named(point)}: ${point.facts.map(([title, text]) => `${title} ${text}`).join(", ")}`;

function plot() {
  const { x, y, points, lines, equal, bars } = claim.plots[drawn];
  width = $(".plot").clientWidth;
  if (!width) return;
  const series = claim.series.filter((name) => points.some((point) => point.series === name));
  const kind = (name) => KINDS[series.indexOf(name) % KINDS.length];
  const shown = points.map((point) => ({ ...point, kind: kind(point.series) })).sort((a, b) => series.indexOf(a.series) - series.indexOf(b.series) || a.x - b.x);
  const joined = lines ? series.map((name) => ({ kind: kind(name), points: shown.filter((point) => point.series === name) })) : [];
  const { svg, nodes } = plotted({ width, x, y, points: shown, lines: joined, equal, title: `${y.title} against ${x.title}` });
  marks = shown.map((point, i) => ({ node: nodes[i], point }));
  explore(marks.map(({ node, point }) => ({ node, words: words(point), told: point })), tell);
  $(".plot").classList.toggle("joined", lines);
  $(".plot").replaceChildren(svg);
  $(".up").textContent = titled(y);
  $(".across").textContent = titled(x);
  $(".key").replaceChildren(...(series.length > 1 ? series.flatMap((name) => keyed(kind(name), name)) : []));
  const barred = shown.some(({ x_error, y_error }) => x_error || y_error);
  $(".hint").textContent = `${HINT}${barred ? ` Bars: ${bars}.` : ""}${equal ? " On the line both are the same." : ""}`;
}

function choice({ title }, index) {
  const input = make("input", { type: "radio", name: "plot", checked: index === drawn });
  input.addEventListener("change", () => { drawn = index; plot(); });
  return make("label", {}, input, ` ${title}`);
}

new ResizeObserver(() => { if (claim && $(".plot").clientWidth !== width) plot(); }).observe($(".plot"));

// ---- the claim ----

function table({ columns, rows }) {
  const head = [make("td"), ...columns.map((title) => make("th", { scope: "col", textContent: title }))];
  $("thead").replaceChildren(make("tr", {}, ...head));
  $("tbody").replaceChildren(...rows.map(({ name, cells }) => make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells.map((text) => make("td", { textContent: text })))));
}

function choose(name) {
  claim = props.value.claims.find((each) => each.name === name) ?? props.value.claims[0];
  drawn = 0;
  for (const link of element.querySelectorAll("nav a")) link.toggleAttribute("aria-current", link.dataset.claim === claim.name);
  $(".pick select").value = claim.name;
  $(".system").textContent = claim.system;
  $(".sentence").textContent = claim.sentence;
  $(".limits span").textContent = claim.limits;
  $(".terms").textContent = claim.notes;
  $("article .axis").replaceChildren(...claim.plots.map(choice));
  $("article .axis").hidden = claim.plots.length < 2;
  table(claim);
  $(".behind").replaceChildren(...claim.behind.flatMap(([title, text]) => [make("dt", { textContent: title }), make("dd", { textContent: text })]));
  $(".command code").textContent = claim.command;
  $(".link input").value = `${location.origin}${location.pathname}${linkOf(claim)}`;
  const file = $(".downloads a");
  URL.revokeObjectURL(file.href);
  file.href = URL.createObjectURL(new Blob([`${JSON.stringify(claim.results, null, 1)}\n`], { type: "application/json" }));
  file.download = `${claim.name}.json`;
  plot();
}

copies($(".command button"), () => getSelection().selectAllChildren($(".command code")), () => claim.command);
copies($(".link button"), () => $(".link input").select(), () => $(".link input").value);
$(".pick select").addEventListener("change", (event) => { event.stopPropagation(); choose(event.target.value); });

// ---- the list ----

function linkTo(each) {
  const link = make("a", { href: linkOf(each), textContent: each.title });
  link.dataset.claim = each.name;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a window of its own
    event.preventDefault();
    choose(each.name);
  });
  return link;
}

function list(claims) {
  const systems = [...new Set(claims.map(({ system }) => system))];
  const of = (system) => claims.filter((each) => each.system === system);
  $("nav").replaceChildren(...systems.flatMap((system) => [make("h4", { textContent: system }), ...of(system).map(linkTo)]));
  $(".pick select").replaceChildren(...systems.map((system) => make("optgroup", { label: system }, ...of(system).map(({ name, title }) => make("option", { value: name, textContent: title })))));
}

// ---- what the tab opens with ----

function small({ plots, series }) {
  const { x, y, points, lines } = plots[0];
  const kind = (name) => KINDS[series.filter((each) => points.some((point) => point.series === each)).indexOf(name) % KINDS.length];
  const shown = points.map((point) => ({ ...point, kind: kind(point.series) })).sort((a, b) => a.x - b.x);
  const joined = lines ? [...new Set(shown.map((point) => point.series))].map((name) => ({ kind: kind(name), points: shown.filter((point) => point.series === name) })) : [];
  const { svg, nodes } = plotted({ width: 440, x, y, points: shown, lines: joined, title: `${y.title} against ${x.title}` });
  for (const node of nodes) node.setAttribute("class", "mark");
  svg.removeAttribute("height");
  svg.setAttribute("role", "img");
  const up = make("figcaption", { textContent: `↑ ${titled(y)}` }), across = make("figcaption", { textContent: `${titled(x)} →` });
  const found = series.filter((each) => points.some((point) => point.series === each));
  const key = make("p", { className: "key" }, ...(found.length > 1 ? found.flatMap((each) => keyed(kind(each), each)) : []));
  return make("figure", { className: "chart" }, up, svg, across, key);
}

function card({ name, question }) {
  const found = props.value.claims.find((each) => each.name === name), link = make("a", { href: linkOf(found) });
  link.append(make("h3", { textContent: question }));
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a window of its own
    event.preventDefault();
    open(name);
  });
  const made = make("section", {}, link, make("p", { textContent: found.sentence }));
  if (found.plots.length) made.append(small(found));
  return made;
}

function open(name) {
  $(".all").open = true;
  choose(name);
  $(".all").scrollIntoView();
}

function show() {
  if (!props.value) return;
  const { claims, first = [], refused, chosen } = props.value;
  $(".all").hidden = !claims.length;
  $(".all summary h3").textContent = `All ${claims.length} claims`;
  $(".first").replaceChildren(...first.map(card));
  if (!first.length) $(".all").open = true;
  $(".refused").replaceChildren(...refused.map((text) => make("li", { textContent: text })));
  if (!claims.length) return;
  list(claims);
  if (chosen) open(chosen);
  else choose(claim?.name);
}
watch("value", show);
show();
