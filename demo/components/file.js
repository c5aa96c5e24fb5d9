// The file button and a place to drop files. The component says what is done with one (send).
const LIMIT = 8e6;

function listenForFiles(place) {
  const input = element.querySelector("input[type=file]");
  input.addEventListener("change", () => { if (input.files[0]) send(input.files[0]); input.value = ""; });
  element.querySelector(".file").addEventListener("click", () => input.click());
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
