// Starts Swagger UI. What it needs stands in the page's attributes, so that no script is written into the page.
"use strict";

const place = document.getElementById("swagger-ui");
const csrf = place.dataset.csrf;
const safe = ["GET", "HEAD", "OPTIONS", "TRACE"];

// Swagger UI has a dark dress, which hangs on this class.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dress();
dark.addEventListener("change", dress);

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
