// A slider over the plans. What a stop means is known here, so the words follow the hand; the answer is asked for.
const $ = (selector) => element.querySelector(selector);
const range = $("input");

function mark(index) {
  const { stops, note } = props.value;
  const { name, title, words } = stops[index];
  range.value = index;
  range.setAttribute("aria-valuetext", title);
  $(".about").replaceChildren(Object.assign(document.createElement("b"), { textContent: title }), ` ${words} ${note.replaceAll("`", "")}`);
  [...$(".names").children].forEach((node) => node.classList.toggle("now", node.dataset.name === name));
}

function go(index) {
  mark(index);
  trigger("input", { plan: props.value.stops[index].name });
}
range.addEventListener("input", (event) => { event.stopPropagation(); go(Number(range.value)); });

let listed = "";
function show() {
  $(".plans").hidden = !props.value;
  if (!props.value) return;
  const { stops, plan } = props.value, names = JSON.stringify(stops);
  if (names !== listed) {
    listed = names;
    range.max = stops.length - 1;
    $(".slide").hidden = stops.length < 2;
    $(".names").replaceChildren(...stops.map(({ name, title }, index) => {
      const node = document.createElement("button");
      Object.assign(node, { type: "button", tabIndex: -1, textContent: title });
      node.dataset.name = name;
      node.style.left = `${(100 * index) / Math.max(1, stops.length - 1)}%`;
      node.addEventListener("click", () => go(index));
      return node;
    }));
  }
  mark(stops.findIndex(({ name }) => name === plan));
}
watch("value", show);
show();
