// The picture to classify: from a file, dropped, pasted, taken with the camera, or one of the examples.
const $ = (selector) => element.querySelector(selector);
const video = $("video");
let stream = null;

async function send(file) {
  close();
  say("Looking at it …");
  trigger("upload", { url: await pictureUrl(file), bytes: file.size });
  setTimeout(() => say(""), 1500); // a refusal changes nothing here
}

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

// ---- the camera ----

$(".webcam").addEventListener("click", async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: 640, height: 480 } });
    video.srcObject = stream;
    await video.play();
    look(true);
    $(".take").focus();
  } catch {
    say("No camera can be used here: upload a picture instead.");
  }
});

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
}

function close() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  look(false);
}
$(".close").addEventListener("click", () => { close(); $(".webcam").focus(); });

listenForFiles($(".frame"));

function show() {
  if (!props.value) return;
  say("");
  close();
  $("img").src = props.value.picture;
  showExamples(props.value.examples);
}
watch("value", show);
show();
