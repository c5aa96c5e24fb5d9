// The file button and a place to drop files. The component says what is done with one (send).
const LIMIT = 8e6;

function listenForFiles(place) {
  const button = element.querySelector(".file"), input = button.querySelector("input");
  input.addEventListener("change", () => { if (input.files[0]) send(input.files[0]); input.value = ""; });
  button.addEventListener("keydown", (event) => { if ("Enter ".includes(event.key)) { event.preventDefault(); input.click(); } });
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]); });
}

// null for a file that the server would not take.
async function dataUrl(file, kind) {
  if (file.size > LIMIT) return null;
  const text = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => resolve("");
    reader.readAsDataURL(file);
  });
  return `data:${kind};base64,${text.slice(text.indexOf(",") + 1)}`;
}
