// The text to classify: typed, pasted, or one of the examples.
const $ = (selector) => element.querySelector(selector);
const area = $("textarea"), LIMIT = 1e6, PAUSE = 300; // characters; milliseconds after the last key
let waiting = 0, sent = "";

function send() {
  if (area.value === sent) return;
  sent = area.value;
  trigger("input", sent.length > LIMIT ? { length: sent.length } : { text: sent });
}
area.addEventListener("input", (event) => {
  event.stopPropagation();
  clearTimeout(waiting);
  waiting = setTimeout(send, PAUSE);
});

function pick(name, index) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: name });
  button.addEventListener("click", () => { clearTimeout(waiting); trigger("example", { index }); });
  return button;
}

let listed = "";
function show() {
  const value = props.value;
  area.disabled = value?.off === true;
  if (!value?.examples) return;
  $(".note").textContent = value.note;
  if (value.text !== null && value.text !== area.value) area.value = value.text;
  if (value.text !== null) sent = area.value;
  if (listed === value.examples.join()) return;
  listed = value.examples.join();
  $(".picks").replaceChildren(...value.examples.map(pick));
}
watch("value", show);
show();
