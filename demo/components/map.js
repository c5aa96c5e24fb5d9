// Test codes in the plane. Moving over it decodes what lies there, a click goes there.
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
new MutationObserver(paint).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", paint);
paint();
