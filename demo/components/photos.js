// Many photos, one after the other: one is under way at a time, made small here, and none stays on the server.
const MOST = 2000;
let running = 0; // the number of the run that goes on; another one, or a cancel, ends it

async function one(file) {
  const { model, plan, side } = props.value;
  const bitmap = file.size ? await createImageBitmap(file).catch(() => null) : null;
  if (!bitmap) return { refused: "no picture that this browser can read" };
  const url = squareOf(bitmap, bitmap.width, bitmap.height, side);
  bitmap.close();
  for (let tries = 0; ; tries += 1) {
    const said = await server.classify_photo({ model, plan, url }).catch(() => null);
    if (said || tries === 4) return said ?? { refused: "the page is busy" };
    await new Promise((go) => setTimeout(go, 1000 * 2 ** tries));
  }
}

async function classify(files) {
  if (!props.value) return;
  const run = (running += 1), rows = [], began = performance.now();
  if (files.length > MOST) { showRows({ state: "refused", words: `These are ${written(files.length)} files: choose up to ${written(MOST)} at once.` }, "photo"); return; }
  element.scrollIntoView({ block: "nearest" });
  showRows({ state: "running", done: 0, rows: files.length, left: null }, "photo");
  for (const file of files) {
    const said = await one(file);
    if (run !== running) return;
    rows.push([file.webkitRelativePath || file.name, said.top?.[0].name ?? null, said.top?.[0].p ?? 0]);
    const left = ((performance.now() - began) / rows.length) * (files.length - rows.length);
    showRows({ state: "running", done: rows.length, rows: files.length, left: Math.round(left / 1000) }, "photo");
  }
  const seconds = (performance.now() - began) / 1000;
  const made = await server.sum_up({ rows, seconds }).catch(() => ({ refused: "That did not work: try again." }));
  if (run === running) showRows(made.refused ? { state: "refused", words: made.refused } : made, "photo");
}

$(".cancel").addEventListener("click", () => {
  running += 1;
  showRows({ state: "cancelled" }, "photo");
});

const send = (file) => classify([file]);
listenForFiles(element, classify);
document.addEventListener("photos", (event) => { if (element.isConnected) classify(event.detail); });
