// A table of texts, classified on the server, which says how far it is.
$(".cancel").addEventListener("click", () => trigger("stop"));

function show() {
  if (props.value) showRows(props.value, "text");
}
watch("value", show);
show();
