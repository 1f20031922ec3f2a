// One trace: rows of the waterfall fold, arrows walk them, and the chosen span is shown without a new page.
"use strict";

(() => {
  // The table is looked up each time: going back in the history puts another one in its place.
  const rowsOf = (inside) => [...inside.closest("[data-waterfall]").tBodies[0].rows];
  const level = (row) => Number(row.dataset.level);
  const fold = (row) => row.querySelector(".wf-fold");

  const turn = (button, open) => {
    button.setAttribute("aria-expanded", String(open));
    // A row shows when nothing above it is folded.
    let folded = Infinity;
    for (const row of rowsOf(button)) {
      row.hidden = level(row) > folded;
      if (row.hidden) continue;
      folded = fold(row)?.getAttribute("aria-expanded") === "false" ? level(row) : Infinity;
    }
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-waterfall] .wf-fold");
    if (button) turn(button, button.getAttribute("aria-expanded") === "false");
  });
  document.addEventListener("keydown", (event) => {
    const row = event.target.closest("[data-waterfall] tbody tr");
    if (!row) return;
    const to = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (to) {
      const shown = rowsOf(row).filter((one) => !one.hidden);
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
    for (const row of rowsOf(link)) row.querySelector(".wf-name a").removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const panel = document.getElementById("span");
    // Beside the waterfall it is in view; below it, it has to be brought there.
    if (event.detail.target?.id === "span" && panel && panel.getBoundingClientRect().top > innerHeight * 0.6) {
      panel.scrollIntoView({ block: "start" });
    }
  });
})();
