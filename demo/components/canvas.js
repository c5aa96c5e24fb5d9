// A canvas that keeps strokes, not pixels: the server inks them with the pen of the training data.
const GRID = 256, PEN = 0.075;
const $ = (selector) => element.querySelector(selector);
const canvas = $("canvas"), context = canvas.getContext("2d");
let strokes = [], current = null, picture = null;

function paint() {
  const side = canvas.width;
  context.fillStyle = "#000";
  context.fillRect(0, 0, side, side);
  if (picture) {
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, side, side);
  }
  context.lineCap = context.lineJoin = "round";
  for (const stroke of current ? [...strokes, current] : strokes) line(stroke, side / GRID);
  $(".hint").classList.toggle("quiet", Boolean(strokes.length || current || picture));
}

function line({ points, filled, grey }, scale) {
  const tone = Math.round(255 * grey);
  context.fillStyle = context.strokeStyle = `rgb(${tone},${tone},${tone})`;
  context.lineWidth = PEN * GRID * scale;
  context.beginPath();
  for (let i = 0; i < points.length; i += 2) context.lineTo((points[i] + 0.5) * scale, (points[i + 1] + 0.5) * scale);
  if (points.length === 2) context.lineTo((points[0] + 0.6) * scale, (points[1] + 0.5) * scale);
  if (filled && points.length > 4) context.fill();
  else context.stroke();
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  const cell = (value, size) => Math.min(GRID - 1, Math.max(0, Math.floor((value / size) * GRID)));
  return [cell(event.clientX - box.left, box.width), cell(event.clientY - box.top, box.height)];
}

function extend(event) {
  const [x, y] = at(event), points = current.points;
  const [lastX, lastY] = points.slice(-2);
  if (points.length && Math.hypot(x - lastX, y - lastY) < 3) return;
  if (points.length < 4000) points.push(x, y);
}

canvas.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  if (picture) { picture = null; strokes = []; }
  const filled = !$(".fill").hidden && $(".fill input").checked;
  current = { points: [], filled, grey: filled ? 0.75 : 1 };
  extend(event);
  paint();
});
canvas.addEventListener("pointermove", (event) => {
  if (!current) return;
  for (const step of event.getCoalescedEvents?.() ?? [event]) extend(step);
  paint();
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, () => {
    if (!current) return;
    strokes.push(current);
    current = null;
    paint();
    trigger("draw", { strokes });
  });
}

$(".clear").addEventListener("click", () => {
  strokes = [];
  picture = null;
  $(".came").hidden = true;
  paint();
  canvas.focus();
  trigger("clear");
});
$(".random").addEventListener("click", () => trigger("random"));
listenForFiles(canvas);

async function send(file) {
  trigger("upload", { url: await pictureUrl(file), bytes: file.size });
}

function show() {
  const value = props.value;
  if (!value || current) return;
  showExamples(value.examples);
  if (value.fills && $(".fill").hidden) $(".fill input").checked = true;
  $(".fill").hidden = !value.fills;
  $(".came").hidden = !value.came;
  if (value.came) $(".came img").src = value.came;
  strokes = value.strokes.map((stroke) => ({ ...stroke, points: [...stroke.points] }));
  if (!value.picture) { picture = null; paint(); return; }
  const image = new Image();
  image.onload = () => { picture = image; paint(); };
  image.src = value.picture;
}

watch("value", show);
show();
paint();
