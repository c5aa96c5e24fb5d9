// Shapes of an SVG that say what they are on hover, focus and tap: one stop for the Tab key, arrows go from one to the next.
const SVG = "http://www.w3.org/2000/svg";

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function explore(shapes, tell) {
  shapes.forEach(({ node, words, told }, i) => {
    node.setAttribute("tabindex", i ? -1 : 0);
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", words);
    const show = () => {
      shapes.forEach((other) => other.node.classList.toggle("now", other.node === node));
      tell(told ?? words, node);
    };
    node.addEventListener("pointerenter", show);
    node.addEventListener("click", show);
    node.addEventListener("focus", show);
    node.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const next = event.key === "Home" ? shapes[0] : event.key === "End" ? shapes.at(-1) : step && shapes[i + step];
      if (!next) return;
      event.preventDefault();
      node.setAttribute("tabindex", -1);
      next.node.setAttribute("tabindex", 0);
      next.node.focus();
    });
  });
}
