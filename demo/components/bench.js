// The bench in 2D: pictures and the dial. Sliders, buttons and asking the server: steer.js, which comes before.
const SVG = "http://www.w3.org/2000/svg";

function redraw(url) {
  element.querySelectorAll(".now").forEach((image) => { image.src = url; });
  $(".redrawn h3").textContent = "Steered";
  element.querySelectorAll(".strip").forEach((picture) => picture.classList.add("stale"));
}

function poseSliders() {
  return view.names.slice(1).map((name, i) => slider(WORDS[name] ?? name, "pose", i + 1, 0.6));
}

const turnedBy = (pose) => Math.atan2(Math.sin(pose[0] - up()), Math.cos(pose[0] - up()));
const poseWords = (pose) => `${signed(degrees(turnedBy(pose)), 0)}°`;

// ---- the dial ----

const dial = $(".dial");
const direction = (angle, radius) => [-Math.sin(angle) * radius, -Math.cos(angle) * radius];

for (let i = 0; i < 24; i++) {
  const tick = document.createElementNS(SVG, "line");
  const [x1, y1] = direction((i * Math.PI) / 12, i % 6 ? 86 : 81), [x2, y2] = direction((i * Math.PI) / 12, 92);
  for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) tick.setAttribute(name, value);
  $(".ticks").append(tick);
}

function turn(shown) {
  const angle = shown + up();
  view.pose[0] = Math.atan2(Math.sin(angle), Math.cos(angle));
  showPose();
  live();
}

function showPose() {
  const angle = turnedBy(view.pose), [x, y] = direction(angle, 44);
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
  else if (step) turn(turnedBy(view.pose) + (step * Math.PI) / 180);
  else return;
  event.preventDefault();
  release();
});

function showView() {
  const { images } = view;
  if (!dragging) element.querySelectorAll(".now").forEach((image) => { image.src = images.redrawn; });
  showStraight();
  $(".left img").src = images.left;
  element.querySelectorAll(".stale").forEach((picture) => picture.classList.remove("stale"));
  $(".pinned").hidden = !images.pinned;
  if (images.pinned) $(".pinned img").src = images.pinned;
  for (const strip of element.querySelectorAll(".strip")) strip.src = view.strips[strip.dataset.index];
  $(".count").textContent = `From ${view.z.length} numbers and the ${view.names.length > 1 ? "pose" : "angle"}.`;
  showGhosts();
}

// As people hold it, or as the model stands it, which chose its own way up: the dial tells the turn from there.
let asModel = false;
const up = () => (asModel ? 0 : view.up);

function showStraight() {
  const { straight, canonical } = view.images, own = asModel && canonical;
  $(".straight img").src = own || straight;
  $(".other").hidden = !canonical;
  $(".other").textContent = own ? "as people hold it" : "as the model stands it";
  $(".stands").textContent = canonical && !own ? "canonical view, turned upright" : "canonical view";
}
$(".other").addEventListener("click", () => {
  asModel = !asModel;
  showStraight();
  showPose();
  showModes();
  showGhosts();
});

function showGhosts() {
  $(".ghosts").replaceChildren();
  for (const mode of view.modes.length > 1 ? view.modes : []) {
    const ghost = document.createElementNS(SVG, "line");
    const [x, y] = direction(turnedBy(mode.pose), 84);
    for (const [name, value] of Object.entries({ x2: x, y2: y, "stroke-opacity": 0.25 + 0.6 * mode.probability })) ghost.setAttribute(name, value);
    $(".ghosts").append(ghost);
  }
}

watch("value", show);
show();
