// The bench in 3D: views that are looked at from one camera, and the compass. Grids into pictures: view3d.js; files:
// file.js; sliders, buttons and asking the server: steer.js. All three come before.
let painter = makePainter(restart);
const canvases = [...element.querySelectorAll(".solid")], compass = $(".compass");
const INK = { came: [0.62, 0.66, 0.72], straight: [0.62, 0.66, 0.72], redrawn: [0.45, 0.49, 0.94], pinned: [0.62, 0.66, 0.72] };
const MISSED = [0.93, 0.5, 0.12], INVENTED = [0.25, 0.55, 0.95];
const AXES = [["x", "#d9822b"], ["y", "#2f9e8f"], ["z", "#6366f1"]]; // of the canonical frame
let solids = {}, cells = {}, stale = null, strips = "", look = null;

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// ---- what is seen ----

function setCells(grids) {
  for (const [name, text] of Object.entries(grids)) cells[name] = bytes(text);
  model(...Object.keys(grids));
}

// Meshes of these grids, and of what is left over between two of them.
function model(...names) {
  if (!painter) return draw(...names);
  const { look: { level, style }, size } = view, full = (name) => cells[name].map((v) => (v >= 255 * level ? 1 : 0));
  for (const name of names.filter((each) => each !== "own")) { // which only what is left over tells of
    const mesh = style === "blocks" ? blocks(full(name), size) : surface(cells[name], size, level);
    replace(name, [{ mesh, colour: INK[name], cells: style === "blocks" ? size : 0 }]);
  }
  const came = full("came"), redrawn = full(cells.own ? "own" : "redrawn");
  const left = [[MISSED, came.map((v, i) => v & ~redrawn[i])], [INVENTED, redrawn.map((v, i) => v & ~came[i])]];
  replace("left", left.map(([colour, rest]) => ({ mesh: blocks(rest, size), colour, cells: size })));
  draw(...names, "left");
}

function restart() {
  painter = makePainter(restart);
  solids = {};
  if (view) model(...Object.keys(cells));
}

function replace(name, made) {
  solids[name]?.forEach((solid) => painter.forget(solid.mesh));
  solids[name] = made.map((solid) => ({ ...solid, mesh: painter.upload(solid.mesh) }));
}

// Paints these, or all, with the next frame.
function draw(...names) {
  const waiting = stale !== null;
  stale = [...(stale ?? []), ...(names.length ? names : [...Object.keys(INK), "left"])];
  if (!waiting) requestAnimationFrame(() => {
    for (const canvas of canvases) if (stale.includes(canvas.dataset.solid)) paintOne(canvas, canvas.dataset.solid);
    stale = null;
    drawCompass();
  });
}

function paintOne(canvas, name) {
  if (!canvas.offsetParent) return;
  if (painter) painter.paint(canvas, view.look.view, solids[name] ?? []);
  else if (name !== "left") still(canvas, name);
}

// Without WebGL the server draws.
async function still(canvas, name) {
  const text = name === "redrawn" ? view.redrawn ?? view.grids.redrawn : view.grids[name];
  if (!text || canvas.asked === (canvas.asked = text + JSON.stringify(view.look))) return;
  const { url } = await server.draw_still({ cells: text, look: view.look, side: Math.min(320, canvas.width) });
  const image = new Image();
  image.onload = () => {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
  };
  if (url) image.src = url;
}
if (!painter) {
  $(".hint").textContent = "This browser draws no 3D (WebGL is off): the pictures come from the server.";
  $(".left").hidden = true;
}

// ---- the camera, one for all ----

const looked = debounced(() => trigger("look", { ...view.look }), 400);

function debounced(act, milliseconds) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(act, milliseconds); };
}

function orbit(dx, dy, grow = 1) {
  const [azimuth, elevation, zoom] = view.look.view;
  const round = (value, digits) => Number(value.toFixed(digits)); // as the link keeps it
  const around = ((((azimuth - dx + 180) % 360) + 360) % 360) - 180;
  view.look.view = [round(around, 1), round(clamp(elevation + dy, -89, 89), 1), round(clamp(zoom * grow, 0.5, 3), 2)];
  draw();
  looked();
}

// Calls moved(dx, dy) with degrees while a pointer is dragged, and with arrow keys.
function draggable(canvas, moved, ended = () => {}) {
  let from = null;
  canvas.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const scale = 180 / canvas.clientWidth;
    moved((event.clientX - from[0]) * scale, (event.clientY - from[1]) * scale);
    from = [event.clientX, event.clientY];
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { if (from) ended(); from = null; });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
    if (!step) return;
    event.preventDefault();
    moved(...step);
    ended();
  });
}

for (const canvas of canvases) {
  draggable(canvas, orbit);
  canvas.addEventListener("wheel", (event) => { if (event.ctrlKey) { event.preventDefault(); orbit(0, 0, Math.exp(-event.deltaY / 200)); } }, { passive: false });
  canvas.addEventListener("keydown", (event) => { if ("+-".includes(event.key)) orbit(0, 0, event.key === "+" ? 1.15 : 1 / 1.15); });
}

for (const input of element.querySelectorAll(".styles input")) {
  input.addEventListener("change", () => { view.look.style = input.value; model(...Object.keys(cells)); looked(); });
}
$(".level input").addEventListener("input", (event) => {
  view.look.level = Number(event.target.value);
  showLook();
  model(...Object.keys(cells));
  looked();
});

function showLook() {
  const { level, style } = view.look;
  for (const input of element.querySelectorAll(".styles input")) input.checked = input.value === style;
  $(".level input").value = level;
  $(".level output").textContent = level.toFixed(2);
}

// ---- the pose: yaw about z, then pitch about the new y, then roll about the newest x, in degrees ----

const times = (a, b) => a.map((row) => [0, 1, 2].map((j) => row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]));

function about(axis, angle) {
  const c = Math.cos((angle * Math.PI) / 180), s = Math.sin((angle * Math.PI) / 180), [x, y, z] = axis, d = 1 - c;
  return [[c + x * x * d, x * y * d - z * s, x * z * d + y * s], [y * x * d + z * s, c + y * y * d, y * z * d - x * s], [z * x * d - y * s, z * y * d + x * s, c + z * z * d]];
}

function turns() {
  const angles = ["yaw", "pitch", "roll"].map((name) => view.pose[view.names.indexOf(name)] ?? 0);
  return [[0, 0, 1], [0, 1, 0], [1, 0, 0]].map((axis, i) => about(axis, angles[i])).reduce(times);
}

function turn(dx, dy) {
  const [right, up] = viewAxes(view.look.view), put = (name, value) => { if (view.names.includes(name)) view.pose[view.names.indexOf(name)] = Math.round(10 * value) / 10; };
  if (!view.names.includes("pitch")) put("yaw", ((view.pose[0] + dx + 540) % 360) - 180);
  else {
    const r = times(times(about(up, dx), about(right, dy)), turns());
    const level = Math.hypot(r[0][0], r[1][0]);
    put("pitch", degrees(Math.atan2(-r[2][0], level)));
    put("yaw", level > 1e-6 ? degrees(Math.atan2(r[1][0], r[0][0])) : degrees(Math.atan2(-r[0][1], r[1][1])));
    put("roll", level > 1e-6 ? degrees(Math.atan2(r[2][1], r[2][2])) : 0);
  }
  dragging = true;
  showPose();
  showNumbers();
  live();
}
draggable(compass, turn, release);

function poseSliders() {
  return view.names.map((name, i) => {
    const reach = { yaw: 180, pitch: 90, roll: 180 }[name];
    return reach ? slider(TURNS[name], "pose", i, reach, { step: 1, unit: "°", digits: 0 }) : slider(WORDS3[name] ?? name, "pose", i, 0.5);
  });
}
const TURNS = { yaw: "spin (yaw)", pitch: "tip (pitch)", roll: "lean (roll)" };
const WORDS3 = { shift_x: "shift x", shift_y: "shift y", shift_z: "shift z", log_scale: "size" };
const poseWords = (pose) => pose.slice(0, 3).map((angle) => `${signed(angle, 0)}°`).join(" ");

function showPose() { drawCompass(); }

// The object's own axes, as turned, seen from the camera of all views.
function drawCompass() {
  const context = compass.getContext("2d"), side = compass.width, middle = side / 2, long = 0.4 * side;
  const [right, up, eye] = viewAxes(view.look.view), r = turns(), dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  context.clearRect(0, 0, side, side);
  context.lineCap = "round";
  ring(context, [right, up], middle, long);
  const arrows = AXES.map(([name, colour], i) => {
    const way = r.map((row) => row[i]);
    return { name, colour, x: dot(way, right), y: dot(way, up), depth: dot(way, eye) };
  });
  arrows.sort((a, b) => a.depth - b.depth).forEach((arrow) => drawArrow(context, arrow, middle, long));
}

function ring(context, [right, up], middle, long) {
  context.strokeStyle = "rgba(123,132,148,.45)";
  context.lineWidth = 2;
  context.beginPath();
  for (let i = 0; i <= 72; i++) {
    const [c, s] = [Math.cos((i * Math.PI) / 36), Math.sin((i * Math.PI) / 36)];
    context.lineTo(middle + long * (right[0] * c + right[1] * s), middle - long * (up[0] * c + up[1] * s));
  }
  context.stroke();
}

function drawArrow(context, { name, colour, x, y, depth }, middle, long) {
  const width = 15 + 5 * depth, angle = Math.atan2(-y, x), [tipX, tipY] = [middle + long * x, middle - long * y];
  context.strokeStyle = context.fillStyle = colour;
  context.globalAlpha = depth < -0.15 ? 0.55 : 1;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(middle, middle);
  context.lineTo(tipX, tipY);
  context.stroke();
  context.beginPath();
  for (const [along, across] of [[20, 0], [-20, 24], [-20, -24]]) context.lineTo(tipX + along * Math.cos(angle) - across * Math.sin(angle), tipY + along * Math.sin(angle) + across * Math.cos(angle));
  context.fill();
  context.globalAlpha = 1;
  context.font = "700 34px 'Source Sans Pro', sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(name, clamp(tipX + 34 * Math.cos(angle), 40, 2 * middle - 40), clamp(tipY + 40 * Math.sin(angle), 24, 2 * middle - 24));
}

// ---- what comes in ----

$(".random").addEventListener("click", () => { wait(); trigger("random"); });
listenForFiles($("[data-solid=came]"));

async function send(file) {
  wait();
  trigger("upload", { url: await dataUrl(file, "application/octet-stream"), name: file.name });
}

function wait() { $(".wait").textContent = "Looking at it …"; }

// ---- what the server says ----

function redraw(text) {
  view.redrawn = text;
  cells.own ??= cells.redrawn; // what is left over is of what came in, wherever the hand goes
  $(".redrawn h3").textContent = "Steered";
  setCells({ redrawn: text });
}

function showView() {
  $(".wait").textContent = "";
  view.look = look ??= view.look; // the visitor's, from the first picture on
  showExamples(view.examples, (index) => { wait(); trigger("example", { index }); });
  const { redrawn, ...others } = view.grids;
  delete cells.pinned;
  delete cells.own;
  if (dragging && cells.redrawn) setCells(others);
  else setCells(view.grids);
  $(".pinned").hidden = !view.grids.pinned;
  $(".count").textContent = `From ${view.z.length} numbers and the pose.`;
  $(".overlap").textContent = `${Math.round(100 * view.overlap)} %`;
  showLook();
  showStrips();
}

// Strips of the sliders in sight; the others when they are unfolded.
async function showStrips() {
  const images = [...element.querySelectorAll(".strip")].filter((image) => image.offsetParent);
  const ask = { model: view.model, z: view.z, pose: view.pose, latents: images.map((image) => Number(image.dataset.index)) };
  const key = JSON.stringify([ask.model, ask.z, ask.latents]);
  if (key === strips || !ask.latents.length) return;
  strips = key;
  const answer = await server.draw_strips(ask);
  if (key === strips) for (const image of images) image.src = answer.strips?.[image.dataset.index] ?? "";
}
$(".sliders").addEventListener("toggle", showStrips, true);

new ResizeObserver(() => { if (view) { draw(); showStrips(); } }).observe(element);
watch("value", show);
show();
