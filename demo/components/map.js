// Test codes in the plane. Moving over it (mouse or arrow keys) decodes what lies there; a click, Enter or Space goes there.
const $ = (selector) => element.querySelector(selector);
const canvas = $("canvas"), context = canvas.getContext("2d"), lens = $(".lens");
let busy = false, waiting = null;

function paint() {
  const value = props.value;
  $(".map").classList.toggle("empty", !value?.points?.length);
  $(".note").textContent = value?.note ?? "";
  if (!value?.points?.length) return;
  const side = canvas.width, dark = document.body.classList.contains("dark");
  context.clearRect(0, 0, side, side);
  context.globalAlpha = 0.75;
  for (const [x, y, label] of value.points) {
    context.fillStyle = value.colours[label % value.colours.length];
    context.beginPath();
    context.arc((x / 1000) * side, (y / 1000) * side, 3.4, 0, 7);
    context.fill();
  }
  context.globalAlpha = 1;
  context.font = "700 26px 'Source Sans Pro', sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 6;
  context.lineJoin = "round";
  for (const { name, x, y } of value.names) {
    context.strokeStyle = dark ? "#0b0f19" : "#fff";
    context.strokeText(name, (x / 1000) * side, (y / 1000) * side);
    context.fillStyle = dark ? "#fff" : "#111827";
    context.fillText(name, (x / 1000) * side, (y / 1000) * side);
  }
  $(".legend").replaceChildren(...value.classes.map((name, i) => {
    const item = document.createElement("span"), dot = document.createElement("i");
    dot.style.background = value.colours[i % value.colours.length];
    item.append(dot, name);
    return item;
  }));
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
}

async function peek(point) {
  if (busy) { waiting = point; return; }
  busy = true;
  try {
    const { redrawn } = await server.peek_map({ model: props.value.model, ...point });
    if (redrawn) { lens.src = redrawn; lens.hidden = false; }
    lens.style.left = `${100 * Math.min(point.x, 0.82)}%`;
    lens.style.top = `${100 * Math.min(point.y, 0.82)}%`;
  } finally {
    busy = false;
    if (waiting) { const next = waiting; waiting = null; peek(next); }
  }
}

canvas.addEventListener("pointermove", (event) => peek(place(event)));
canvas.addEventListener("pointerleave", () => { waiting = null; lens.hidden = true; });
canvas.addEventListener("click", (event) => trigger("pick", place(event)));

// With the keyboard: a cross that the arrows move, in fiftieths of the map.
let at = { x: 0.5, y: 0.5 };
const cross = $(".cross");

function moveTo(x, y) {
  at = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
  cross.style.left = `${100 * at.x}%`;
  cross.style.top = `${100 * at.y}%`;
  cross.hidden = false;
  peek(at);
}

canvas.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 0.1 : 0.02;
  const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
  if (event.key === "Enter" || event.key === " ") trigger("pick", at);
  else if (x || y) moveTo(at.x + step * x, at.y + step * y);
  else return;
  event.preventDefault();
});
canvas.addEventListener("blur", () => { cross.hidden = true; lens.hidden = true; });
new MutationObserver(paint).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", paint);
paint();
