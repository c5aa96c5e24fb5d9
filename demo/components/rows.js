// What was classified row by row, and what comes of it. The file to download is made here: nothing stays on the server.
const $ = (selector) => element.querySelector(selector);
const written = (number) => number.toLocaleString("en");

function patience(seconds) {
  if (seconds === null) return "";
  return seconds < 90 ? `, about ${Math.max(1, seconds)} s left` : `, about ${Math.round(seconds / 60)} min left`;
}

const LISTED = 10; // classes that are counted in a sentence

function listed(counts) {
  const rest = counts.slice(LISTED).reduce((sum, { count }) => sum + count, 0);
  const said = counts.slice(0, LISTED).map(({ name, count }) => `${written(count)} ${name}`);
  return [...said, ...(rest ? [`${written(rest)} of other kinds`] : [])].join(", ");
}

const SAYS = {
  running: ({ rows, done, left }, what) => (rows ? `${written(done)} of ${written(rows)} ${what}s${patience(left)}.` : "Reading the table …"),
  done: ({ rows, seconds, counts }, what) => `${written(rows)} ${what === "text" ? "rows" : `${what}s`} in ${seconds} s: ${listed(counts) || `no ${what} among them`}.`,
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

// what: "text" or "photo", as the rows are called.
function showRows(value, what) {
  $("th").textContent = what;
  $(".doing").textContent = SAYS[value.state](value, what);
  $(".doing").classList.toggle("refused", value.state === "refused");
  $(".going").hidden = value.state !== "running";
  if (value.rows && value.state === "running") $("progress").value = value.done / value.rows;
  else $("progress").removeAttribute("value");
  $(".outcome").hidden = value.state !== "done";
  if (value.state === "done") outcome(value);
}
