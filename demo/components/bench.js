// The bench: pictures, dial and sliders. A drag asks the server directly and always for the last position only;
// letting go tells the page ('steer'), which then redraws the strips, the link and everything else.
const $ = (selector) => element.querySelector(selector);
const SVG = "http://www.w3.org/2000/svg";
const WORDS = { shift_x: "shift right", shift_y: "shift up", log_scale: "size", log_aspect: "stretch", shear: "shear" };
const SHOWN = 8;
let view = null, dragging = false, busy = false, waiting = false, built = "";

const degrees = (radians) => (radians * 180) / Math.PI;
const signed = (value, digits) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(digits);

async function live() {
  if (busy) { waiting = true; return; }
  busy = true;
  try {
    const { redrawn } = await server.draw_code({ model: view.model, z: view.z, pose: view.pose });
    if (redrawn) element.querySelectorAll(".now").forEach((image) => { image.src = redrawn; });
    $(".left").classList.add("stale");
  } finally {
    busy = false;
    if (waiting) { waiting = false; live(); }
  }
}

function release() {
  dragging = false;
  trigger("steer", { z: view.z, pose: view.pose });
}

// ---- the dial ----

const dial = $(".dial");
const direction = (angle, radius) => [-Math.sin(angle) * radius, -Math.cos(angle) * radius];

for (let i = 0; i < 24; i++) {
  const tick = document.createElementNS(SVG, "line");
  const [x1, y1] = direction((i * Math.PI) / 12, i % 6 ? 86 : 81), [x2, y2] = direction((i * Math.PI) / 12, 92);
  for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) tick.setAttribute(name, value);
  $(".ticks").append(tick);
}

function turn(angle) {
  view.pose[0] = Math.atan2(Math.sin(angle), Math.cos(angle));
  showAngle();
  live();
}

function showAngle() {
  const angle = view.pose[0], [x, y] = direction(angle, 44);
  $(".hand").setAttribute("transform", `rotate(${-degrees(angle)})`);
  $(".arc").setAttribute("d", `M0 -44 A44 44 0 0 ${angle > 0 ? 0 : 1} ${x} ${y}`);
  $(".degrees").textContent = `${signed(degrees(angle), 0)}°`;
  dial.setAttribute("aria-valuenow", Math.round(degrees(angle)));
}

function pointed(event) {
  const box = dial.getBoundingClientRect();
  return Math.atan2(-(event.clientX - box.left - box.width / 2), -(event.clientY - box.top - box.height / 2));
}

dial.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  dial.focus({ preventScroll: true });
  dial.setPointerCapture(event.pointerId);
  dragging = true;
  turn(pointed(event));
});
dial.addEventListener("pointermove", (event) => { if (dragging && dial.hasPointerCapture(event.pointerId)) turn(pointed(event)); });
dial.addEventListener("pointerup", release);
dial.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: 5, ArrowUp: 5, ArrowRight: -5, ArrowDown: -5, PageUp: 45, PageDown: -45 }[event.key];
  if (event.key === "Home") turn(0);
  else if (step) turn(view.pose[0] + (step * Math.PI) / 180);
  else return;
  event.preventDefault();
  release();
});

// ---- the sliders ----

function build() {
  const shape = JSON.stringify([view.model, view.order, view.reach, view.names]);
  if (shape === built) return;
  built = shape;
  const latents = view.order.map((index, rank) => slider(`shape ${rank + 1}`, "z", index, view.reach, true));
  const pose = view.names.slice(1).map((name, i) => slider(WORDS[name] ?? name, "pose", i + 1, 0.6, false));
  const rest = document.createElement("details");
  rest.innerHTML = "<summary>more numbers that change less</summary>";
  rest.append(...latents.slice(SHOWN));
  $(".sliders").replaceChildren(...pose, ...latents.slice(0, SHOWN), ...(latents.length > SHOWN ? [rest] : []));
}

function slider(name, part, index, reach, strip) {
  const label = document.createElement("label"), input = document.createElement("input");
  label.className = "slider";
  label.innerHTML = "<span></span><output></output>";
  label.firstChild.textContent = name;
  Object.assign(input, { type: "range", min: -reach, max: reach, step: 0.01 });
  Object.assign(input.dataset, { part, index });
  input.setAttribute("aria-label", name);
  input.addEventListener("input", () => set(part, index, Number(input.value)));
  input.addEventListener("pointerdown", () => { dragging = true; });
  input.addEventListener("change", release);
  label.append(input);
  if (strip) label.append(stripOf(part, index, reach));
  return label;
}

function stripOf(part, index, reach) {
  const image = new Image();
  image.className = "strip";
  image.alt = "Pictures over the slider's range; click one to go there";
  image.dataset.index = index;
  image.addEventListener("click", (event) => {
    event.preventDefault();
    const count = view.values.length, box = image.getBoundingClientRect();
    const cell = Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count)));
    set(part, index, view.values[cell]);
    release();
  });
  return image;
}

function set(part, index, value) {
  view[part][index] = value;
  showNumbers();
  live();
}

function showNumbers() {
  for (const input of element.querySelectorAll(".slider input")) {
    const value = view[input.dataset.part][input.dataset.index];
    if (Number(input.value) !== value) input.value = value;
    input.parentElement.querySelector("output").textContent = signed(value, 2);
  }
}

// ---- buttons ----

const seed = $(".seed input");
for (const button of element.querySelectorAll("[data-act]")) {
  button.addEventListener("click", () => trigger("act", { act: button.dataset.act }));
}
seed.addEventListener("change", () => trigger("act", { act: "seed", seed: seed.value }));

// ---- what the server says ----

function show() {
  if (!props.value) return;
  const { z, pose } = view ?? {};
  view = structuredClone(props.value);
  // An answer to an earlier move must not pull the hand away.
  if (dragging) Object.assign(view, { z, pose });
  build();
  const { images } = view;
  if (!dragging) element.querySelectorAll(".now").forEach((image) => { image.src = images.redrawn; });
  $(".straight img").src = images.straight;
  $(".left img").src = images.left;
  $(".left").classList.remove("stale");
  $(".pinned").hidden = !images.pinned;
  if (images.pinned) $(".pinned img").src = images.pinned;
  $("[data-act=pin]").textContent = view.pin;
  for (const strip of element.querySelectorAll(".strip")) strip.src = view.strips[strip.dataset.index];
  $(".count").textContent = `From ${view.z.length} numbers and the ${view.names.length > 1 ? "pose" : "angle"}.`;
  seed.value = view.seed;
  showFacts();
  showAngle();
  showNumbers();
}

function showFacts() {
  const { shape, pose } = view.nats;
  $(".price").innerHTML = "<b></b> nats for the shape and what was left over, <b></b> for the orientation <small>price, −ELBO</small>";
  const [first, second] = element.querySelectorAll(".price b");
  first.textContent = shape.toFixed(1);
  second.textContent = pose.toFixed(1);
  const several = view.modes.length > 1;
  $(".modes").replaceChildren(several ? "Looks the same turned: " : "Only one orientation fits.");
  $(".ghosts").replaceChildren();
  for (const mode of several ? view.modes : []) {
    const button = document.createElement("button"), ghost = document.createElementNS(SVG, "line");
    button.type = "button";
    button.textContent = `${signed(degrees(mode.pose[0]), 0)}° · ${Math.round(100 * mode.probability)} %`;
    button.addEventListener("click", () => { view.pose = [...mode.pose]; showAngle(); live(); release(); });
    $(".modes").append(button);
    const [x, y] = direction(mode.pose[0], 84);
    for (const [name, value] of Object.entries({ x2: x, y2: y, "stroke-opacity": 0.25 + 0.6 * mode.probability })) ghost.setAttribute(name, value);
    $(".ghosts").append(ghost);
  }
}

watch("value", show);
show();
