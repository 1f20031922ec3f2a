// Draws the page's charts with uPlot from the JSON beside them, in the page's colours, with a table on demand.
"use strict";

(() => {
  // A custom property is kept as it is written; an element that wears it tells the colour of the theme.
  const probe = document.body.appendChild(document.createElement("span"));
  probe.hidden = true;
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const palette = () => Array.from({ length: 8 }, (_, place) => colour(`--series-${place + 1}`));
  const large = (value) => {
    for (const [step, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e4, "k"]]) {
      if (Math.abs(value) >= step) return `${trim(value / (letter === "k" ? 1e3 : step))}${letter}`;
    }
    return null;
  };
  const trim = (value) => String(Number(value.toPrecision(3)));
  const length = (value) => {
    if (Math.abs(value) < 1000) return `${trim(value)} ms`;
    if (Math.abs(value) < 60000) return `${trim(value / 1000)} s`;
    return `${trim(value / 60000)} min`;
  };
  const units = {
    usd: (value) => `$${large(value) ?? (Math.abs(value) >= 100 ? value.toFixed(0) : trim(value))}`,
    ms: length,
    rate: (value) => `${trim(value * 100)}%`,
    pct: (value) => `${trim(value)}%`,
    bytes: (value) => `${large(value) ?? trim(value)}B`,
    per_second: (value) => `${trim(value)}/s`,
  };
  const shown = (unit, value) => {
    if (value === null || value === undefined) return "–";
    return (units[unit] ?? ((number) => large(number) ?? trim(number)))(value);
  };
  const clock = (data) => {
    const coarse = ["1day", "1week", "1month"].includes(data.interval);
    const parts = coarse
      ? { day: "numeric", month: "short", year: "numeric" }
      : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false };
    const format = new Intl.DateTimeFormat("en-GB", { timeZone: data.zone, ...parts });
    return (seconds) => format.format(new Date(seconds * 1000));
  };
  // Ticks: days where the range is days, hours within one; 24 hours, and never the month first.
  const ticks = (data) => {
    const zone = { timeZone: data.zone };
    const hour = new Intl.DateTimeFormat("en-GB", { ...zone, hour: "2-digit", minute: "2-digit", hour12: false });
    const day = new Intl.DateTimeFormat("en-GB", { ...zone, day: "numeric", month: "short" });
    return (_, places, axis, space, width) => places.map((seconds) => {
      const moment = new Date(seconds * 1000);
      const clock = hour.format(moment);
      return width >= 86400 || clock === "00:00" ? day.format(moment) : clock;
    });
  };
  const iso = (seconds) => encodeURIComponent(new Date(seconds * 1000).toISOString().replace(".000Z", "Z"));
  const between = (address, start, end) => address.replace("{start}", iso(start)).replace("{end}", iso(end));
  const step = (data, place) => {
    const times = data.times;
    if (place + 1 < times.length) return times[place + 1] - times[place];
    return times.length > 1 ? times[place] - times[place - 1] : 3600;
  };

  const sums = (data) => {
    // Drawn from the top down: each series covers those below it.
    const rows = data.series.map((one) => one.values.slice());
    for (let below = rows.length - 2; below >= 0; below--) {
      rows[below] = rows[below].map((value, place) => (value ?? 0) + (rows[below + 1][place] ?? 0));
    }
    return rows;
  };

  const bars = uPlot.paths.bars({ size: [0.7, 60], align: 1 });
  const series = (data, colours) => data.series.map((one, place) => {
    const solid = data.kind !== "line" && !one.dashed;
    const hue = one.dashed ? colour("--muted") : colours[place % colours.length];
    return {
      label: one.label,
      stroke: hue,
      width: solid ? 0 : 2,
      fill: solid ? hue : undefined,
      dash: one.dashed ? [6, 4] : undefined,
      paths: solid ? bars : undefined,
      points: { show: data.times.length < 3 && !solid },
      spanGaps: false,
    };
  });

  const legend = (place, data, colours) => {
    place.replaceChildren(...data.series.map((one, number) => {
      const entry = document.createElement(one.link ? "a" : "span");
      if (one.link) entry.href = one.link;
      entry.className = "legend-entry";
      const mark = document.createElement("span");
      mark.className = one.dashed ? "legend-mark legend-dashed" : "legend-mark";
      mark.style.borderColor = one.dashed ? colour("--muted") : colours[number % colours.length];
      mark.setAttribute("aria-hidden", "true");
      const name = document.createElement("span");
      name.className = "legend-name";
      name.textContent = one.label;
      const value = document.createElement("span");
      value.className = "legend-value";
      entry.append(mark, name, " ", value);
      return entry;
    }));
    return [...place.querySelectorAll(".legend-value")];
  };

  const table = (place, data) => {
    const when = clock(data);
    const made = document.createElement("table");
    made.className = "data";
    const head = made.createTHead().insertRow();
    for (const name of [`Time (${data.zone})`, ...data.series.map((one) => one.label)]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      if (head.childElementCount) cell.className = "number";
      cell.textContent = name;
      head.append(cell);
    }
    const body = made.createTBody();
    data.times.forEach((time, row) => {
      const line = body.insertRow();
      const cell = document.createElement("th");
      cell.scope = "row";
      cell.textContent = when(time);
      line.append(cell);
      for (const one of data.series) {
        const figure = line.insertCell();
        figure.className = "number";
        figure.textContent = shown(data.unit, one.values[row]);
      }
    });
    place.tabIndex = 0;
    place.setAttribute("role", "region");
    place.setAttribute("aria-label", "The chart as a table");
    place.replaceChildren(made);
  };

  const draw = (figure) => {
    const data = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
    const canvas = figure.querySelector(".chart-canvas");
    if (!canvas || !data.times.length) return;
    canvas.replaceChildren();
    const colours = palette();
    const when = clock(data);
    const values = legend(figure.querySelector(".chart-legend"), data, colours);
    const tell = (place) => values.forEach((value, number) => {
      value.textContent = place === null ? "" : shown(data.unit, data.series[number].values[place]);
    });
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const time = document.createElement("span");
    time.className = "legend-time";
    figure.querySelector(".chart-legend").append(time);
    // A bar reaches from its bucket's start to its end: the last one needs its room too.
    const last = data.times.length - 1;
    const edges = [data.times[0], data.times[last] + step(data, last)];
    // A line of a single point has no width of its own to be drawn in.
    const alone = [data.times[0] - 3600, data.times[0] + 3600];
    const line = data.times.length === 1 ? { time: true, range: () => alone } : { time: true };
    const along = data.kind === "line" ? line : { time: true, range: () => edges };
    const options = {
      width: canvas.clientWidth,
      height: 210,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), data.zone),
      legend: { show: false },
      cursor: { drag: { x: Boolean(data.zoom), y: false, setScale: false }, points: { size: 7 } },
      scales: { x: along, y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.08 : 1] } },
      series: [{}, ...series(data, colours)],
      axes: [
        { ...axis, space: 70, values: ticks(data) },
        { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => shown(data.unit, tick)) },
      ],
      hooks: {
        setCursor: [(plot) => {
          const place = plot.cursor.idx ?? null;
          tell(place);
          time.textContent = place === null ? "" : when(data.times[place]);
        }],
        setSelect: [(plot) => {
          if (plot.select.width < 4 || !data.zoom) return;
          const start = plot.posToVal(plot.select.left, "x");
          const end = plot.posToVal(plot.select.left + plot.select.width, "x");
          location.assign(between(data.zoom, Math.floor(start / 60) * 60, Math.ceil(end / 60) * 60));
        }],
      },
    };
    const rows = data.kind === "stacked" ? sums(data) : data.series.map((one) => one.values);
    const plot = new uPlot(options, [data.times, ...rows], canvas);
    if (data.drill) {
      let pressed = 0;
      plot.over.classList.add("drills");
      plot.over.title = "Click for the traces of a bucket, drag to zoom";
      plot.over.addEventListener("mousedown", (event) => { pressed = event.clientX; });
      plot.over.addEventListener("click", (event) => {
        const place = plot.cursor.idx;
        if (place === null || place === undefined || Math.abs(event.clientX - pressed) > 3) return;
        location.assign(between(data.drill, data.times[place], data.times[place] + step(data, place)));
      });
    }
    figure.plot = plot;
  };

  const button = (figure) => {
    const toggle = figure.querySelector("[data-table]");
    if (!toggle) return;
    toggle.hidden = false;
    toggle.addEventListener("click", () => {
      const place = figure.querySelector(".chart-table");
      const open = place.hidden;
      if (open) table(place, JSON.parse(document.getElementById(figure.dataset.chart).textContent));
      place.hidden = !open;
      toggle.setAttribute("aria-expanded", String(open));
      toggle.textContent = open ? "Hide the table" : "Show as a table";
    });
  };

  const figures = () => document.querySelectorAll("figure[data-chart]");
  const all = () => { for (const figure of figures()) { figure.plot?.destroy(); draw(figure); } };
  for (const figure of figures()) {
    draw(figure);
    button(figure);
  }
  document.addEventListener("hub:theme", all);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  let last = window.innerWidth;
  new ResizeObserver(() => {
    if (window.innerWidth === last) return;
    last = window.innerWidth;
    for (const figure of figures()) figure.plot?.setSize({ width: figure.querySelector(".chart-canvas").clientWidth, height: 210 });
  }).observe(document.documentElement);
})();
