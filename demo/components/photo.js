// The picture to classify: from a file, dropped, pasted, taken with the camera, or one of the examples. Where the network
// cuts a square out of it, that can be moved. While the camera runs, what it shows is classified as fast as answers come.
const $ = (selector) => element.querySelector(selector);
const video = $("video"), cut = $(".cut");
const LARGE = 304, TALL = 360; // pixels of the picture on the page, at most
let stream = null;

async function send(file) {
  close();
  say("Looking at it …");
  trigger("upload", { url: await pictureUrl(file), bytes: file.size });
  setTimeout(() => say(""), 1500); // a refusal changes nothing here
}

const sendMany = (files) => document.dispatchEvent(new CustomEvent("photos", { detail: files }));
const say = (words) => { $(".note").textContent = words; };
const inSight = () => element.isConnected && element.offsetParent !== null;

document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])][0];
  if (file && inSight()) { event.preventDefault(); send(file); }
});

$(".paste").addEventListener("click", async () => {
  try {
    for (const item of await navigator.clipboard.read()) {
      const kind = item.types.find((type) => type.startsWith("image/"));
      if (kind) { send(await item.getType(kind)); return; }
    }
    say("There is no picture to paste: copy one first.");
  } catch {
    say("Press Ctrl+V (on a Mac Cmd+V) to paste a picture.");
  }
});

// ---- the square ----

let at = 0.5;

function place() {
  const { wide, high } = props.value, side = Math.min(wide, high), along = 100 * at;
  Object.assign(cut.style, {
    width: `${(100 * side) / wide}%`, height: `${(100 * side) / high}%`,
    left: `${((wide - side) / wide) * along}%`, top: `${((high - side) / high) * along}%`,
  });
  cut.setAttribute("aria-valuenow", Math.round(along));
  cut.setAttribute("aria-orientation", wide > high ? "horizontal" : "vertical");
}

function move(to) {
  at = Math.min(1, Math.max(0, to));
  place();
}

const settle = () => trigger("cut", { at: Math.round(at * 1000) / 1000 });

cut.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  cut.setPointerCapture(event.pointerId);
  cut.focus();
  const box = $(".whole").getBoundingClientRect(), tall = box.height > box.width;
  const room = Math.abs(box.height - box.width), from = tall ? event.clientY : event.clientX, was = at;
  cut.onpointermove = (news) => move(was + ((tall ? news.clientY : news.clientX) - from) / Math.max(1, room));
  cut.onpointerup = cut.onpointercancel = () => {
    cut.onpointermove = cut.onpointerup = cut.onpointercancel = null;
    if (at !== was) settle();
  };
});

cut.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -0.1, ArrowUp: -0.1, ArrowRight: 0.1, ArrowDown: 0.1, Home: -1, End: 1 };
  if (!(event.key in steps)) return;
  event.preventDefault();
  move(at + steps[event.key]);
  settle();
});

// ---- the camera ----

$(".webcam").addEventListener("click", async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: 640, height: 480 } });
    video.srcObject = stream;
    await video.play();
    look(true);
    $(".take").focus();
    watchLive(stream);
  } catch {
    say("No camera can be used here: upload a picture instead.");
  }
});

// One picture at a time is under way, so that a slow server is asked less often, and nobody else waits.
async function watchLive(running) {
  const answered = [];
  while (stream === running && element.isConnected) {
    if (!inSight() || document.hidden) { await new Promise((go) => setTimeout(go, 300)); continue; }
    const asked = { model: props.value.model, plan: props.value.plan, url: squareOf(video, video.videoWidth, video.videoHeight, props.value.side) };
    const said = await server.classify_photo(asked).catch(() => ({ refused: "The page is busy: the camera waits." }));
    if (stream !== running) return;
    $(".live").hidden = false;
    if (said.refused) {
      $(".pace").textContent = said.refused;
      await new Promise((go) => setTimeout(go, 1000));
      continue;
    }
    answered.push(performance.now());
    while (answered.length > 20) answered.shift();
    showTop(said.top);
    const seconds = (answered.at(-1) - answered[0]) / 1000;
    if (answered.length > 2) $(".pace").textContent = `Live: ${((answered.length - 1) / seconds).toFixed(1)} pictures a second.`;
  }
}

function showTop(top) {
  $(".live .top").replaceChildren(...top.map(({ name, p, words }) => {
    const item = document.createElement("li");
    for (const [tag, text] of [["span", name], ["b", words], ["i", ""]]) item.append(Object.assign(document.createElement(tag), { textContent: text }));
    item.querySelector("span").className = "name";
    item.querySelector("i").style.width = `${Math.max(0.5, 100 * p)}%`;
    return item;
  }));
}

$(".take").addEventListener("click", () => {
  const still = document.createElement("canvas");
  still.width = video.videoWidth;
  still.height = video.videoHeight;
  still.getContext("2d").drawImage(video, 0, 0);
  still.toBlob((blob) => blob && send(blob), "image/png");
});

function look(live) {
  say("");
  video.hidden = !live;
  $(".shutter").hidden = !live;
  $(".choose").hidden = live;
  $(".cutting").hidden = live || cut.hidden;
  if (!live) $(".live").hidden = true;
}

function close() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  look(false);
}
$(".close").addEventListener("click", () => { close(); $(".webcam").focus(); });

listenForFiles($(".frame"), sendMany);

let last = "";
function show() {
  if (!props.value) return;
  say("");
  if (props.value.picture !== last) close();
  last = $("img").src = props.value.picture;
  const { wide, high } = props.value, scale = Math.min(LARGE / wide, TALL / high);
  Object.assign($(".whole").style, { width: `${wide * scale}px`, height: `${high * scale}px` });
  cut.hidden = $(".cutting").hidden = props.value.at === null;
  at = props.value.at ?? 0.5;
  if (!cut.hidden) place();
  showExamples(props.value.examples);
}
watch("value", show);
show();
