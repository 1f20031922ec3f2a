// Before anything is drawn: says that scripts run, so that what needs them can be shown and the menu folded.
"use strict";

document.documentElement.classList.add("js");
