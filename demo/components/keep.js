// Files are made in the page from what it already shows, or asked for when they are wanted: nothing is left behind
// on the server.
const $ = (selector) => element.querySelector(selector);

function show() {
  const { files, query } = props.value || { files: [], query: "" };
  $(".downloads").replaceChildren(...files.map((file) => (file.url ? linkTo(file) : buttonFor(file))));
  $(".link input").value = `${location.origin}${location.pathname}?${query}`;
}

function linkTo({ name, label, url }) {
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name, textContent: label, className: "button" });
  return link;
}

function buttonFor({ name, label, ask }) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: label });
  button.addEventListener("click", async () => {
    button.textContent = "Making it …";
    const { url, refused } = await server.save_shape(ask).catch(() => ({ refused: "That did not work: try again." }));
    button.textContent = refused ?? label;
    if (url) linkTo({ name, url }).click();
  });
  return button;
}

copies($(".link button"), () => $(".link input").select(), () => $(".link input").value);
watch("value", show);
show();
