// One trace: rows of the waterfall fold, arrows walk them, and the chosen span is shown without a new page.
"use strict";

(() => {
  const table = document.querySelector("[data-waterfall]");
  if (!table) return;
  const rows = [...table.tBodies[0].rows];
  const level = (row) => Number(row.dataset.level);
  const fold = (row) => row.querySelector(".wf-fold");

  // A row shows when nothing above it is folded.
  const draw = () => {
    let folded = Infinity;
    for (const row of rows) {
      row.hidden = level(row) > folded;
      if (row.hidden) continue;
      folded = fold(row)?.getAttribute("aria-expanded") === "false" ? level(row) : Infinity;
    }
  };
  const turn = (button, open) => {
    button.setAttribute("aria-expanded", String(open));
    draw();
  };
  table.addEventListener("click", (event) => {
    const button = event.target.closest(".wf-fold");
    if (button) turn(button, button.getAttribute("aria-expanded") === "false");
  });
  table.addEventListener("keydown", (event) => {
    const row = event.target.closest("tbody tr");
    if (!row) return;
    const shown = rows.filter((one) => !one.hidden);
    const to = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (to) {
      shown[shown.indexOf(row) + to]?.querySelector(".wf-name a").focus();
      event.preventDefault();
    } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && fold(row)) {
      turn(fold(row), event.key === "ArrowRight");
      event.preventDefault();
    }
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    const link = event.target.closest("[data-waterfall] .wf-name a");
    if (!link) return;
    for (const other of table.querySelectorAll("a[aria-current]")) other.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
  });
  document.addEventListener("htmx:afterSwap", () => {
    const panel = document.getElementById("span");
    // Beside the waterfall it is in view; below it, it has to be brought there.
    if (panel && panel.getBoundingClientRect().top > innerHeight * 0.6) panel.scrollIntoView({ block: "start" });
  });
})();
