// Rows of pictures, each one wide picture, with words beside them.
function show() {
  const film = element.querySelector(".film");
  film.replaceChildren(...(props.value || []).map(({ title, small, url, alt }) => {
    const row = document.createElement("figure"), caption = document.createElement("figcaption");
    const note = document.createElement("small"), image = new Image();
    caption.append(title);
    note.textContent = small;
    caption.append(note);
    image.src = url;
    image.alt = alt;
    row.append(caption, image);
    return row;
  }));
}
watch("value", show);
show();
