// What the benches share: sliders over shape and pose, the buttons, the price. A drag asks the server directly and
// always for the last position only; letting go tells the page ('steer'), which then redraws everything else.
// The bench says how an answer is drawn (redraw), how a pose is shown (showPose, poseWords) and which sliders its pose
// has (poseSliders); showView is called with every new value.
const $ = (selector) => element.querySelector(selector);
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
    if (redrawn) redraw(redrawn);
  } finally {
    busy = false;
    if (waiting) { waiting = false; live(); }
  }
}

function release() {
  dragging = false;
  trigger("steer", { z: view.z, pose: view.pose });
}

// ---- the sliders ----

function build() {
  const shape = JSON.stringify([view.model, view.order, view.reach, view.names]);
  if (shape === built) return;
  built = shape;
  const latents = view.order.map((index, rank) => slider(`shape ${rank + 1}`, "z", index, view.reach, { strip: true }));
  const rest = document.createElement("details");
  rest.innerHTML = "<summary>more sliders, which change less</summary>";
  rest.append(...latents.slice(SHOWN));
  $(".sliders").replaceChildren(...poseSliders(), ...latents.slice(0, SHOWN), ...(latents.length > SHOWN ? [rest] : []));
}

function slider(name, part, index, reach, { strip = false, step = 0.01, unit = "", digits = 2 } = {}) {
  const label = document.createElement("label"), input = document.createElement("input");
  label.className = "slider";
  label.innerHTML = "<span></span><output></output>";
  label.firstChild.textContent = name;
  Object.assign(input, { type: "range", min: -reach, max: reach, step });
  Object.assign(input.dataset, { part, index, unit, digits });
  input.setAttribute("aria-label", name);
  input.addEventListener("input", () => set(part, index, Number(input.value)));
  input.addEventListener("pointerdown", () => { dragging = true; });
  input.addEventListener("change", release);
  label.append(input);
  if (strip) label.append(stripOf(part, index));
  return label;
}

function stripOf(part, index) {
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
  if (part === "pose") showPose();
  showNumbers();
  live();
}

function showNumbers() {
  for (const input of element.querySelectorAll(".slider input")) {
    const { part, index, unit, digits } = input.dataset, value = view[part][index];
    if (Number(input.value) !== value) input.value = value;
    input.parentElement.querySelector("output").textContent = signed(value, digits) + unit;
  }
}

// ---- buttons ----

const seed = $(".seed input");
for (const button of element.querySelectorAll("[data-act]")) {
  const { act } = button.dataset;
  button.addEventListener("click", () => (act === "shape" ? trigger("fresh", {}) : trigger("act", { act })));
}
seed.addEventListener("change", () => trigger("fresh", { seed: seed.value }));

// ---- what the server says ----

function show() {
  if (!props.value) return;
  const { note } = props.value;
  $(".bench").classList.toggle("empty", Boolean(note));
  if (note) { $(".nothing").textContent = note; return; }
  const { z, pose } = view ?? {};
  view = structuredClone(props.value);
  // An answer to an earlier move must not pull the hand away.
  if (dragging) Object.assign(view, { z, pose });
  build();
  showView();
  $(".redrawn h3").textContent = view.steered ? "Steered" : "Redrawn";
  $("[data-act=pin]").textContent = view.pin;
  seed.value = view.seed;
  showPrice();
  showModes();
  showPose();
  showNumbers();
}

function showPrice() {
  const { shape, pose } = view.nats;
  $(".price").innerHTML = "To write it down takes <b></b> nats for what it is and what is left over, <b></b> for how it is turned <small>−ELBO; a nat is 1.44 bits</small>";
  const [first, second] = element.querySelectorAll(".price b");
  first.textContent = shape.toFixed(1);
  second.textContent = pose.toFixed(1);
}

function showModes() {
  const several = view.modes.length > 1;
  $(".modes").replaceChildren(several ? "Looks the same turned: " : "Only one orientation fits.");
  for (const mode of several ? view.modes : []) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${poseWords(mode.pose)} · ${Math.round(100 * mode.probability)} %`;
    button.addEventListener("click", () => { view.pose = [...mode.pose]; showPose(); live(); release(); });
    $(".modes").append(button);
  }
}
