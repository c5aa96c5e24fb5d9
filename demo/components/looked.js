// What each place of the picture says for a class, as light over the picture; any of the likeliest classes can be asked for.
const $ = (selector) => element.querySelector(selector);
const SIZE = 320; // pixels of a canvas, drawn smaller
let chosen = "";

// Heat as a picture of few pixels, which the canvas draws softly.
function shade(heat) {
  const mask = document.createElement("canvas"), context = mask.getContext("2d");
  mask.height = heat.length;
  mask.width = heat[0].length;
  const pixels = context.createImageData(mask.width, mask.height);
  heat.flat().forEach((share, i) => { pixels.data[4 * i + 3] = Math.round(190 * (1 - Math.sqrt(share))); });
  context.putImageData(pixels, 0, 0);
  return mask;
}

function draw(canvas, picture, heat) {
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, SIZE, SIZE);
  if (heat) context.drawImage(shade(heat), 0, 0, SIZE, SIZE);
}

async function show() {
  const value = props.value;
  element.querySelector(".looked").hidden = !value?.nets?.length;
  if (!value?.nets?.length) return;
  const names = [...new Set(value.nets.flatMap(({ classes }) => classes.map(({ name }) => name)))].slice(0, 4);
  if (!names.includes(chosen)) chosen = names[0];
  const picture = new Image();
  picture.src = value.sees;
  await picture.decode().catch(() => {});
  if (props.value !== value) return;
  $(".heats").replaceChildren(...value.nets.map(({ title }) => {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIZE;
    canvas.setAttribute("role", "img");
    figure.append(canvas, Object.assign(document.createElement("figcaption"), { textContent: title }));
    return figure;
  }));
  $(".tools").replaceChildren(...names.map((name) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.addEventListener("click", () => { chosen = name; mark(value, picture); });
    return button;
  }));
  mark(value, picture);
}

function mark(value, picture) {
  $(".for").textContent = chosen;
  [...$(".tools").children].forEach((button) => button.setAttribute("aria-pressed", button.textContent === chosen));
  value.nets.forEach(({ title, classes }, i) => {
    const canvas = $(".heats").children[i].firstChild, found = classes.find(({ name }) => name === chosen);
    canvas.setAttribute("aria-label", `Where ${title} looked for ${chosen}`);
    draw(canvas, picture, found?.heat);
    $(".heats").children[i].lastChild.textContent = value.nets.length > 1 || !found ? `${title}${found ? `: ${found.words}` : ": not among its likeliest"}` : "";
  });
}
watch("value", () => { show(); });
show();
