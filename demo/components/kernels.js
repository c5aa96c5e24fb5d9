// Kernels of a layer that the visitor picks.
const $ = (selector) => element.querySelector(selector);
let asked = 0;

function draw({ layer, shared, count, tie, numbers, tied, dense }) {
  $("select").value = layer;
  $(".shared img").src = shared;
  $(".count").textContent = count;
  $(".tie").textContent = tie;
  $(".numbers").textContent = numbers;
  $(".tied img").src = tied;
  $(".dense").hidden = !dense;
  if (dense) $(".dense img").src = dense;
}

$("select").addEventListener("change", async () => {
  const now = ++asked;
  const answer = await server.draw_kernels({ model: props.value.model, layer: $("select").value }).catch(() => ({}));
  if (now === asked && answer.layer) draw(answer);
});

function show() {
  const value = props.value;
  $(".kernels").hidden = !value?.drawn;
  if (!value?.drawn) return;
  asked++;
  $("select").replaceChildren(...value.layers.map(({ name, words }) => new Option(words, name)));
  draw(value.drawn);
}
watch("value", show);
show();
