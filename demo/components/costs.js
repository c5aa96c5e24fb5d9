// A table: the networks side by side, and how much less the first needs.
const $ = (selector) => element.querySelector(selector);

function cell(tag, text, small) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (tag === "th") made.scope = small === undefined ? "col" : "row";
  if (small) made.append(Object.assign(document.createElement("small"), { textContent: small }));
  return made;
}

function row(cells) {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
}

function show() {
  const value = props.value;
  $(".costs").hidden = $(".beside").hidden = !value;
  if (!value) return;
  const several = value.titles.length > 1;
  $("thead").replaceChildren(row([cell("td", ""), ...value.titles.map((title) => cell("th", title)), ...(several ? [cell("th", value.versus)] : [])]));
  $(".beside").textContent = value.note ?? "";
  $("tbody").replaceChildren(...value.rows.map(({ label, small, values, ratio }) => {
    const cells = [cell("th", label, small), ...values.map((text) => cell("td", text))];
    if (several) cells.push(Object.assign(cell("td", ratio), { className: "ratio" }));
    return row(cells);
  }));
}
watch("value", show);
show();
