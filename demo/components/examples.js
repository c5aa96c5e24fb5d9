// The examples as buttons. Drawn again only where they are others.
let drawnExamples = "";

function showExamples(list, choose = (index) => trigger("example", { index })) {
  if (JSON.stringify(list) === drawnExamples) return;
  drawnExamples = JSON.stringify(list);
  element.querySelector(".examples").replaceChildren(...list.map(({ name, url }, index) => {
    const button = document.createElement("button"), image = new Image();
    button.type = "button";
    button.title = image.alt = `Example: ${name}`;
    image.src = url;
    button.append(image);
    button.addEventListener("click", () => choose(index));
    return button;
  }));
}
