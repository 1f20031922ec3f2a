// The administration's part of the frame; the rest is console/console.js. Every page works without it.
"use strict";

(() => {
  const root = document.documentElement;
  root.classList.add("js");
  // Before anything is drawn: the person's choice of dark or light, as the console keeps it.
  const chosen = document.cookie.match(/(?:^|; )hub_theme=(dark|light)(?:;|$)/);
  if (chosen) root.dataset.theme = chosen[1];

  // Select2 replaces a select and leaves its label behind.
  const named = () => {
    for (const select of document.querySelectorAll("select.select2-hidden-accessible")) {
      const label = select.labels[0] ? select.labels[0].textContent.trim().replace(/:$/, "") : select.name;
      const box = select.nextElementSibling;
      if (!box) continue;
      for (const part of box.querySelectorAll("[role=combobox], [role=textbox], [role=searchbox], .select2-search__field")) {
        part.setAttribute("aria-label", label);
        part.removeAttribute("aria-labelledby");
      }
    }
    for (const field of document.querySelectorAll(".select2-dropdown .select2-search__field")) field.setAttribute("aria-label", "Search");
    for (const list of document.querySelectorAll(".select2-results__options")) list.setAttribute("aria-label", "Choices");
  };
  document.addEventListener("DOMContentLoaded", () => {
    if (document.querySelector("select.admin-autocomplete")) {
      named();
      new MutationObserver(named).observe(document.body, { childList: true, subtree: true });
    }
  });
  window.addEventListener("load", () => {
    // What the calendar's pictures do is said by their titles alone.
    for (const link of document.querySelectorAll(".datetimeshortcuts a[id]")) {
      const picture = link.querySelector("[title]");
      if (picture) link.setAttribute("aria-label", picture.title);
    }
  });
})();
