// The file button and a place to drop files. The component says what is done with one (send), and with several, if it
// takes them.
const LIMIT = 8e6;

function listenForFiles(place, sendMany = (files) => send(files[0])) {
  const input = element.querySelector("input[type=file]");
  const take = (files) => { if (files.length > 1) sendMany(files); else if (files.length) send(files[0]); };
  input.addEventListener("change", () => { take([...input.files]); input.value = ""; });
  element.querySelector(".file").addEventListener("click", () => input.click());
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => { event.preventDefault(); take([...event.dataTransfer.files]); });
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
