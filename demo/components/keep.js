// Files are made in the page from what it already shows: nothing is left behind on the server.
const $ = (selector) => element.querySelector(selector);
function show() {
  const { files, query } = props.value || { files: [], query: "" };
  $(".downloads").replaceChildren(...files.map(({ name, label, url }) => {
    const link = document.createElement("a");
    Object.assign(link, { href: url, download: name, textContent: label, className: "button" });
    return link;
  }));
  $(".link input").value = `${location.origin}${location.pathname}?${query}`;
}
$(".link button").addEventListener("click", async () => {
  $(".link input").select();
  await navigator.clipboard?.writeText($(".link input").value).catch(() => {});
  $(".link button").textContent = "Copied";
  setTimeout(() => { $(".link button").textContent = "Copy"; }, 1500);
});
watch("value", show);
show();
