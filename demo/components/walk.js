const $ = (selector) => element.querySelector(selector);
function show() {
  const value = props.value || {};
  $(".walk").classList.toggle("empty", !value.grid);
  $(".note").textContent = value.note ?? "";
  if (!value.grid) return;
  $(".across").textContent = `${value.across} →`;
  $(".down").textContent = value.down && `↓ ${value.down}`;
  $(".grid img").src = value.grid;
  $(".moving img").src = $(".moving a").href = value.gif;
}
watch("value", show);
show();
