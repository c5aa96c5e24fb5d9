// A table being classified, and what came of it. The file to download is made here: nothing stays on the server.
const $ = (selector) => element.querySelector(selector);
const written = (number) => number.toLocaleString("en");

function patience(seconds) {
  if (seconds === null) return "";
  return seconds < 90 ? `, about ${Math.max(1, seconds)} s left` : `, about ${Math.round(seconds / 60)} min left`;
}

const SAYS = {
  running: ({ rows, done, left }) => (rows ? `${written(done)} of ${written(rows)} texts${patience(left)}.` : "Reading the table …"),
  done: ({ rows, seconds, counts }) => `${written(rows)} rows in ${seconds} s: ${counts.map(({ name, count }) => `${written(count)} ${name}`).join(", ") || "no text among them"}.`,
  refused: ({ words }) => words,
  cancelled: () => "Cancelled: nothing was kept.",
};

function outcome({ csv, notes, preview }) {
  const link = $("a");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
  link.download = "classified.csv";
  $(".notes").replaceChildren(...notes.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  $("tbody").replaceChildren(...preview.map(({ text, label, p }) => {
    const row = document.createElement("tr");
    row.append(...[text, label, p].map((part) => Object.assign(document.createElement("td"), { textContent: part })));
    return row;
  }));
}

$(".cancel").addEventListener("click", () => trigger("stop"));

function show() {
  const value = props.value;
  if (!value) return;
  $(".doing").textContent = SAYS[value.state](value);
  $(".doing").classList.toggle("refused", value.state === "refused");
  $(".going").hidden = value.state !== "running";
  if (value.rows && value.state === "running") $("progress").value = value.done / value.rows;
  else $("progress").removeAttribute("value");
  $(".outcome").hidden = value.state !== "done";
  if (value.state === "done") outcome(value);
}
watch("value", show);
show();
