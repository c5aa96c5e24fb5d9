// Treemaps of the networks' parameters, each in its own scale; a dashed frame in the dense one is the compact one's size.
const $ = (selector) => element.querySelector(selector);
const count = (number) => number.toLocaleString("en");

function words({ name, kind, tie, parameters, macs }, total) {
  const share = ((100 * parameters) / total).toFixed(parameters < total / 100 ? 1 : 0);
  const work = macs ? `, ${(macs / 1e6).toFixed(macs < 1e6 ? 2 : 1)} million multiply-accumulates` : "";
  return `${name}: ${kind}${tie ? `, tied by ${tie}` : ""}, ${count(parameters)} parameters (${share} %)${work}`;
}

function mapOf({ title, total, size, inside, parts }) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  const said = Object.assign(document.createElement("p"), { className: "said" });
  caption.innerHTML = "<b></b><small></small>";
  caption.querySelector("b").textContent = title;
  caption.querySelector("small").textContent = `${count(total)} parameters`;
  const picture = shape("svg", { viewBox: `0 0 ${size[0]} ${size[1]}`, role: "group", "aria-label": `${title}: layers by their parameters` });
  const shapes = parts.filter((part) => part.parameters).map((part) => {
    const [x, y, width, height] = part.place;
    const node = shape("g", { class: `part ${part.tie ? "tied" : "free"}` });
    node.append(shape("rect", { x, y, width, height }));
    const label = [`${part.name} ${part.kind}`, part.kind].find((text) => width > 1.7 * text.length);
    if (label && height > 4.5) node.append(shape("text", { x: x + 1.2, y: y + 3.6 }, label));
    return { node, words: words(part, total) };
  });
  picture.append(...shapes.map(({ node }) => node));
  if (inside) {
    const scale = Math.sqrt(inside), [width, height] = size.map((side) => side * scale);
    picture.append(shape("rect", { class: "inside", x: size[0] - width - 0.6, y: size[1] - height - 0.6, width, height }));
  }
  const start = inside ? "Dashed: the whole compact network in this scale." : "Point at a layer, or go through them with the arrow keys.";
  said.textContent = start;
  explore(shapes, (text) => { said.textContent = text; });
  figure.append(caption, picture, said);
  return figure;
}

function show() {
  const maps = props.value || [];
  $(".parts").hidden = !maps.length;
  $(".maps").replaceChildren(...maps.map(mapOf));
}
watch("value", show);
show();
