// A button that copies, and says so. Where the browser does not let it, the text is selected for Ctrl-C.
function copies(button, select, text) {
  button.addEventListener("click", async () => {
    select();
    await navigator.clipboard?.writeText(text()).catch(() => {});
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 4000);
  });
}
