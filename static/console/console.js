// The console's frame: theme, menu, bar, copying. Every page works without it.
"use strict";

(() => {
  const root = document.documentElement;
  const year = 365 * 86400;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const keep = (name, value, seconds = year) => {
    document.cookie = `${name}=${encodeURIComponent(value)}; Path=/; Max-Age=${seconds}; SameSite=Lax${secure}`;
  };

  // Set by the sign-in page, before the first page of the console. Without it pages are in UTC, unless the address names a zone.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("hub_tz=")) keep("hub_tz", zone);

  const themeButton = document.querySelector("[data-theme-button]");
  if (themeButton) {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    themeButton.hidden = false;
    themeButton.addEventListener("click", () => {
      const now = root.dataset.theme || (dark.matches ? "dark" : "light");
      const next = now === "dark" ? "light" : "dark";
      root.dataset.theme = next;
      // The choice that the system makes anyway needs no cookie.
      keep("hub_theme", next, (next === "dark") === dark.matches ? 0 : year);
      document.dispatchEvent(new CustomEvent("hub:theme"));
    });
  }

  const menuButton = document.querySelector("[data-menu]");
  if (menuButton) {
    const fold = (open) => {
      menuButton.setAttribute("aria-expanded", String(open));
      root.classList.toggle("menu-open", open);
    };
    menuButton.addEventListener("click", () => fold(menuButton.getAttribute("aria-expanded") !== "true"));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && root.classList.contains("menu-open")) {
        fold(false);
        menuButton.focus();
      }
    });
  }

  // One opened drop at a time, closed by Escape and by a click elsewhere.
  const drops = () => document.querySelectorAll("details.drop[open]");
  document.addEventListener("click", (event) => {
    for (const drop of drops()) if (!drop.contains(event.target)) drop.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const drop of drops()) {
      drop.open = false;
      drop.querySelector("summary").focus();
    }
  });

  const bar = document.querySelector("[data-bar]");
  if (bar) {
    const range = bar.querySelector("[name=range]");
    const custom = (shown) => {
      for (const field of bar.querySelectorAll(".bar-custom")) {
        field.hidden = !shown;
        field.querySelector("input").disabled = !shown;
      }
    };
    // Empty fields would only make the address longer.
    const send = () => {
      const query = new URLSearchParams();
      for (const [name, value] of new FormData(bar)) if (value !== "") query.set(name, value);
      if (query.get("tz") === "UTC" && !document.cookie.includes("hub_tz=")) query.delete("tz");
      root.classList.add("loading");
      location.assign(`?${query}`);
    };
    bar.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
    range.addEventListener("change", () => {
      custom(range.value === "custom");
      if (range.value !== "custom") send();
      else bar.querySelector("[name=start_time]").focus();
    });
    for (const quick of bar.querySelectorAll("select[name=project], input[type=checkbox]")) {
      quick.addEventListener("change", send);
    }
    const zones = bar.querySelector("#bar-zones");
    bar.querySelector("#bar-tz").addEventListener("focus", () => {
      if (zones.childElementCount > 1 || !Intl.supportedValuesOf) return;
      for (const name of [zone, ...Intl.supportedValuesOf("timeZone")]) zones.append(new Option("", name));
    });
    for (const field of bar.querySelectorAll("[data-choices]")) {
      field.addEventListener("focus", async () => {
        const answer = await fetch(field.dataset.choices + location.search, { headers: { Accept: "text/html" } });
        if (!answer.ok) return;
        const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.getElementById(field.getAttribute("list")).replaceChildren(...parsed.querySelectorAll("option"));
      }, { once: true });
    }
  }
  // A page that is on its way says so; one that comes back from the history does not.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const plain = link && !event.defaultPrevented && !event.ctrlKey && !event.metaKey && !event.shiftKey && !link.target && !link.hasAttribute("download");
    if (plain && link.origin === location.origin && link.pathname + link.search !== location.pathname + location.search) {
      root.classList.add("loading");
    }
  });
  window.addEventListener("pageshow", () => root.classList.remove("loading"));

  // `data-copy` names the element whose text or value is copied.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const from = document.querySelector(button.dataset.copy);
    const text = "value" in from ? from.value : from.textContent;
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Without HTTPS there is no clipboard: choose the text, so that the keyboard can copy it.
      if (from.select) from.select();
      else getSelection().selectAllChildren(from);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });
  // A part that was to follow, and did not: its place says so.
  const failed = (event) => {
    const place = event.target.querySelector?.("[data-waiting]");
    if (!place) return;
    const again = document.createElement("a");
    again.href = location.href;
    again.textContent = "Try again";
    const says = document.createElement("p");
    says.className = "state";
    says.setAttribute("role", "alert");
    says.append("This part could not be loaded. ", again);
    place.closest("[aria-busy]")?.removeAttribute("aria-busy");
    place.replaceWith(says);
  };
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) document.addEventListener(name, failed);

  // Buttons that copy are of no use without scripts.
  const reveal = (part) => { for (const button of part.querySelectorAll("[data-copy][hidden]")) button.hidden = false; };
  reveal(document);
  document.addEventListener("htmx:afterSwap", (event) => reveal(event.target));
})();
