// Starts Swagger UI. What it needs stands in the page's attributes, so that no script is written into the page.
"use strict";

const place = document.getElementById("swagger-ui");
const csrf = place.dataset.csrf;
const safe = ["GET", "HEAD", "OPTIONS", "TRACE"];

// The person's choice of dark or light, as the console keeps it.
const chosen = document.cookie.match(/(?:^|; )hub_theme=(dark|light)(?:;|$)/);
if (chosen) document.documentElement.dataset.theme = chosen[1];

// With a session, changes need the page's token; it is sent to this hub and nowhere else.
const withToken = (request) => {
  const method = (request.method || "GET").toUpperCase();
  if (csrf && !safe.includes(method) && new URL(request.url, location.href).origin === location.origin) {
    request.headers["X-CSRFToken"] = csrf;
  }
  return request;
};

SwaggerUIBundle({
  ...JSON.parse(place.dataset.settings),
  url: place.dataset.schema,
  domNode: place,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  requestInterceptor: withToken,
  showMutatedRequest: false, // the command to copy is without the token
});

// What Swagger UI leaves without a name, beyond the keyboard or nested, mended as it is drawn.
const each = (selector, mend) => { for (const one of place.querySelectorAll(selector)) mend(one); };
const text = (one) => (one ? one.textContent.replace("*", "").trim() : "");
const name = (one, words) => { if (!one.labels?.length && one.getAttribute("aria-label") !== words) one.setAttribute("aria-label", words); };
const wordsOf = (field) => {
  const row = field.closest("tr[data-param-name]");
  if (row) return row.dataset.paramName;
  if (field.closest(".examples-select")) return "Example";
  if (field.closest(".response-control-media-type, .content-type-wrapper, .body-param-content-type")) return "Media type";
  if (field.matches(".operation-filter-input")) return "Filter by tag";
  return field.closest(".opblock-section-request-body") ? "Request body" : text(field.closest(".wrapper, div")?.querySelector("label")) || "Value";
};
const levels = { H3: 2, H4: 3, H5: 4 };
const mend = () => {
  each("select, textarea, input:not([type=hidden])", (field) => name(field, wordsOf(field)));
  each("h3, h4, h5", (heading) => { if (!heading.hasAttribute("aria-level")) heading.setAttribute("aria-level", levels[heading.tagName]); });
  each(".opblock-summary-path a[href], .opblock-tag a[href]", (link) => link.removeAttribute("href")); // inside of a button; the button does it
  each("pre, .microlight, .table-container, .responses-wrapper, .opblock-body", (part) => {
    if (part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight) part.tabIndex = 0;
  });
  each(".responses-table", (table) => {
    const operation = table.closest(".opblock");
    const which = text(operation?.querySelector(".opblock-summary-method")) + " " + text(operation?.querySelector(".opblock-summary-path"));
    if (table.getAttribute("role") === "region") name(table, `${table.matches(".live-responses-table") ? "Answer" : "Documented answers"} of ${which}`);
  });
  for (const [selector, words] of [[".information-container", "About"], [".scheme-container", "Authorize"], [".filter", "Filter"]]) {
    each(selector, (part) => { part.setAttribute("role", "region"); name(part, words); });
  }
  // A cookie cannot be given by hand: who has signed in sends it anyway.
  each(".auth-container", (scheme) => scheme.classList.toggle("unusable", text(scheme.querySelector("h4")).startsWith("session")));
};
let waiting = false;
new MutationObserver(() => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; mend(); });
}).observe(place, { childList: true, subtree: true });
