"use strict";
// Draws the maps and the metric plots, and sorts the cluster table. Plotly is given numbers only; every text
// from the data is put on the page with textContent, so that it can never act.
(() => {
  const data = JSON.parse(document.getElementById("figures").textContent);
  const points = data.points;
  // Okabe and Ito's colours, which stay apart for colour-blind readers, and three more between them.
  const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8470d6", "#8a8c2a", "#b0486b", "#2fa8a0"];
  const LABEL_PIXELS = 14; // width of the 2-D map per cluster number written on it; more numbers would hide it
  const LEAST_SPAN = 0.02; // of a metric plot's vertical axis
  const coarse = matchMedia("(pointer: coarse)").matches;
  // Plotly's own set of buttons holds one that sends the chart, with its data, to plotly.com: only these are shown.
  const BUTTONS = {
    2: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"], ["toImage"]],
    3: [["orbitRotation", "pan3d", "zoom3d", "resetCameraDefault3d"], ["toImage"]],
  };
  const config = { displaylogo: false, responsive: true, scrollZoom: false, showSendToCloud: false, plotlyServerURL: "" };
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const font = getComputedStyle(document.body).fontFamily;
  const chosen = (name) => document.querySelector(`input[name=${name}]:checked`)?.value;
  let highlighted = null;

  // --- the text shown on hover -----------------------------------------------------------------------------
  const tip = document.getElementById("tip");
  let pointer = [0, 0];
  for (const kind of ["pointermove", "pointerdown"]) {
    addEventListener(kind, (event) => { pointer = [event.clientX, event.clientY]; }, { capture: true, passive: true });
  }

  function showTip(text, lines) {
    tip.replaceChildren();
    if (text !== null) tip.appendChild(document.createElement("p")).textContent = text;
    const list = tip.appendChild(document.createElement("dl"));
    for (const [name, value] of lines) {
      list.appendChild(document.createElement("dt")).textContent = name;
      list.appendChild(document.createElement("dd")).textContent = value;
    }
    tip.hidden = false;
    const [x, y] = pointer, { width, height } = tip.getBoundingClientRect();
    const left = x + 14 + width > innerWidth - 8 ? x - 14 - width : x + 14;
    const top = y + 14 + height > innerHeight - 8 ? y - 14 - height : y + 14;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, top)}px`;
  }
  const hideTip = () => { tip.hidden = true; };
  addEventListener("scroll", hideTip, { passive: true });

  function clusterName(cluster) {
    if (cluster === null) return "none: removed before clustering";
    const terms = data.terms[cluster];
    return `${cluster === -1 ? "noise" : cluster}${terms ? ` · ${terms}` : ""}`;
  }

  function showRow(row) {
    const lines = [["cluster", clusterName(points.cluster[row])]];
    if (points.label[row] >= 0) lines.push(["label", points.labels[points.label[row]]]);
    lines.push(["status", data.statuses[points.status[row]] + (points.anchor[row] ? ", held out as anchor" : "")]);
    if (points.why[row] >= 0) lines.push(["why", points.whys[points.why[row]]]);
    lines.push(["id", points.id[row]]);
    showTip(points.excerpt[row], lines);
  }

  // --- maps ------------------------------------------------------------------------------------------------
  function mix(colour, ground, share) {
    const channel = (at) => Math.round(
      parseInt(colour.slice(at, at + 2), 16) * share + parseInt(ground.slice(at, at + 2), 16) * (1 - share));
    return `rgb(${channel(1)},${channel(3)},${channel(5)})`;
  }

  function colourOf(row, by, theme) {
    const cluster = points.cluster[row], status = points.status[row];
    if (highlighted !== null && cluster !== highlighted) return mix(theme.grey, theme.ground, 0.3);
    if (by === "status") return theme.statuses[status];
    const colour = cluster === null || cluster < 0 ? theme.grey : PALETTE[cluster % PALETTE.length];
    return mix(colour, theme.ground, status === 1 ? 0.4 : 1);
  }

  function median(values) {
    return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
  }

  // The range of an axis that all but a few of the kept rows take, so that some far away do not make all others small.
  // The page that a run is looked at on goes by the same share (`FEW` in camera.js).
  const FEW = 0.03, MARGIN = 0.15;
  function frame(values) {
    const sorted = Float64Array.from(values).sort();
    const few = Math.floor(FEW * (sorted.length - 1));
    const low = sorted[few], high = sorted[sorted.length - 1 - few], margin = MARGIN * (high - low || 1);
    return [low - margin, high + margin];
  }

  // A map begins with that frame of each axis; what lies beyond is told, and a double-click shows it.
  function framed(element, rows, axes) {
    if (!rows.length) return [];
    const kept = rows.filter((row) => points.status[row] !== 1);
    const ranges = axes.map((axis) => frame((kept.length ? kept : rows).map((row) => axis[row])));
    const outside = (row) => ranges.some(([low, high], at) => axes[at][row] < low || axes[at][row] > high);
    const beyond = rows.filter(outside).length;
    const does = axes.length === 2 ? "2-D; drag to zoom" : "3-D; drag to turn";
    const back = axes.length === 2 ? `${does}, double-click to go back` : does;
    element.parentElement.querySelector("figcaption").textContent = beyond
      ? `${does}. ${beyond === 1 ? "1 row lies" : `${beyond.toLocaleString("en")} rows lie`} beyond the frame: double-click shows all, and once more goes back`
      : back;
    return ranges;
  }

  function clusterNumbers(rows, axes, theme, limit) {
    const members = new Map();
    for (const row of rows) {
      const cluster = points.cluster[row];
      if (cluster === null || cluster < 0 || points.status[row] === 1) continue;
      if (highlighted !== null && cluster !== highlighted) continue;
      if (!members.has(cluster)) members.set(cluster, []);
      members.get(cluster).push(row);
    }
    const largest = [...members].sort((a, b) => b[1].length - a[1].length).slice(0, limit);
    const halo = `0 0 2px ${theme.ground}, 0 0 2px ${theme.ground}, 0 0 4px ${theme.ground}`;
    return largest.map(([cluster, own]) => ({
      x: median(own.map((row) => axes[0][row])), y: median(own.map((row) => axes[1][row])),
      text: String(cluster), showarrow: false, captureevents: false,
      font: { size: 12, color: theme.ink, weight: 700, shadow: halo, family: font },
    }));
  }

  function drawMap(element) {
    const dimensions = element.dataset.dimensions, by = chosen("colour");
    const axes = data.maps[chosen("method")]?.[dimensions];
    element.hidden = !axes;
    element.nextElementSibling.hidden = Boolean(axes);
    if (!axes) return;
    const theme = {
      ground: css("--ground"), ink: css("--ink"), grey: css("--noise"),
      statuses: data.statuses.map((status) => css(`--${status}`)),
    };
    const shown = data.statuses.map((status) => document.querySelector(`input[name=show-${status}]`).checked);
    const drawn = (row) => shown[points.status[row]] && axes.every((axis) => axis[row] !== null);
    const rows = points.id.map((_, row) => row).filter(drawn);
    // Within a trace what matters least is drawn first: noise, then clusters, then what is highlighted.
    const rank = (row) => (points.cluster[row] === highlighted ? 2 : points.cluster[row] === null || points.cluster[row] < 0 ? 0 : 1);
    const flat = dimensions === "2";
    const size = (flat ? 4 : 3) * (rows.length > 4000 ? 1 : 1.5);
    const traceOf = (own, symbol, scale) => ({
      type: flat ? "scattergl" : "scatter3d", mode: "markers", hoverinfo: "none",
      x: own.map((row) => axes[0][row]), y: own.map((row) => axes[1][row]),
      ...(flat ? {} : { z: own.map((row) => axes[2][row]) }),
      marker: {
        color: own.map((row) => colourOf(row, by, theme)), symbol, opacity: flat ? 0.85 : 1, line: { width: 0 },
        size: own.map((row) => size * scale * (points.cluster[row] === highlighted ? 1.6 : 1)),
      },
    });
    // One trace for each status: plotly draws mixed symbols by symbol, so their order would not hold. What was
    // removed is in the way of the clusters, and is what one looks for by status.
    const order = by === "status" ? [0, 1, 2] : [1, 0, 2];
    const groups = order.map((status) => rows.filter((row) => points.status[row] === status).sort((a, b) => rank(a) - rank(b)));
    const traces = order.map((status, at) => traceOf(groups[at], ["circle", "square", "diamond"][status], [1, 1.2, 1.4][status]));
    const bare = { showgrid: false, zeroline: false, showticklabels: false, ticks: "", title: { text: "" }, showline: false };
    const wall = {
      ...bare, showgrid: true, gridcolor: css("--line"), showbackground: false, showspikes: false,
    };
    const ranges = framed(element, rows, axes);
    const within = (at) => (ranges[at] && !element.whole ? { range: [...ranges[at]] } : {});
    const layout = {
      margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false, hovermode: "closest", dragmode: flat ? (coarse ? false : "zoom") : "orbit",
      uirevision: chosen("method"), // keeps zoom and camera when only the colours change
      modebar: { color: css("--muted"), activecolor: css("--ink"), bgcolor: "rgba(0,0,0,0)" },
      xaxis: { ...bare, ...within(0) }, yaxis: { ...bare, scaleanchor: "x", ...within(1) },
      scene: { xaxis: { ...wall, ...within(0) }, yaxis: { ...wall, ...within(1) }, zaxis: { ...wall, ...within(2) }, aspectmode: "cube", camera: { eye: { x: 1.05, y: 1.05, z: 0.7 } } },
    };
    if (flat && by === "cluster") layout.annotations = clusterNumbers(rows, axes, theme, element.clientWidth / LABEL_PIXELS);
    Plotly.react(element, traces, layout, { ...config, modeBarButtons: BUTTONS[dimensions] });
    element.groups = groups;
    if (element.listening) return;
    element.listening = true;
    const show = (event) => showRow(element.groups[event.points[0].curveNumber][event.points[0].pointNumber]);
    element.on("plotly_hover", show);
    element.on("plotly_click", show);
    element.on("plotly_unhover", hideTip);
    element.addEventListener("pointerleave", hideTip);
    if (!flat) element.addEventListener("dblclick", () => { // plotly's own goes back to the first frame, in 2-D alone
      element.whole = !element.whole;
      drawMap(element);
    });
  }

  function highlight(cluster) {
    highlighted = cluster;
    const button = document.getElementById("highlighted");
    button.hidden = cluster === null;
    button.textContent = `Cluster ${cluster === -1 ? "noise" : cluster} ✕`;
    document.querySelectorAll(".map").forEach(drawMap);
  }

  // --- metrics by round ------------------------------------------------------------------------------------
  function drawMetric(element) {
    const metric = data.metrics[Number(element.dataset.metric)];
    const known = metric.rounds.map((_, at) => at).filter((at) => metric.values[at] !== null);
    element.hidden = !known.length;
    element.nextElementSibling.hidden = Boolean(known.length);
    if (!known.length) return;
    const x = known.map((at) => metric.rounds[at]), y = known.map((at) => metric.values[at]);
    const ink = css("--muted"), kept = css("--kept"), undone = css("--removed");
    const traces = [];
    if (metric.noise) {
      const edge = (sign) => ({
        x, y: known.map((at) => metric.values[at] + sign * (metric.noise[at] ?? 0)), mode: "lines", line: { width: 0 }, hoverinfo: "skip",
      });
      traces.push(edge(-1), { ...edge(1), fill: "tonexty", fillcolor: css("--band") });
    }
    traces.push({ x, y, mode: "lines+markers", line: { color: kept, width: 2 }, marker: { size: 4, color: kept }, hoverinfo: "none" });
    const tried = metric.tried;
    const stands = (one) => ["kept", "by_person"].includes(one.outcome);
    for (const one of tried.filter((each) => !stands(each))) {
      const before = metric.values[metric.rounds.indexOf(one.round) - 1];
      traces.push({
        x: [one.round - 1, one.round], y: [before, one.value], mode: "lines", hoverinfo: "skip",
        line: { color: undone, width: 1.2, dash: "dot" },
      });
    }
    traces.push({
      x: tried.map((one) => one.round), y: tried.map((one) => one.value), mode: "markers", hoverinfo: "none",
      marker: {
        size: 9, color: tried.map((one) => (stands(one) ? kept : undone)),
        symbol: tried.map((one) => (stands(one) ? "circle" : "x")),
      },
    });
    const around = known.flatMap((at) => [-1, 1].map((sign) => metric.values[at] + sign * (metric.noise?.[at] ?? 0)));
    const all = [...around, ...tried.map((one) => one.value)], low = Math.min(...all), high = Math.max(...all);
    const room = Math.max(0.1 * (high - low), (LEAST_SPAN - (high - low)) / 2); // so that a flat line looks flat
    const axis = { color: ink, gridcolor: css("--line"), zeroline: false, fixedrange: true, tickfont: { size: 11 } };
    const step = Math.max(1, Math.ceil(metric.rounds.length / 10));
    Plotly.react(element, traces, {
      margin: { l: 46, r: 10, t: 8, b: 24 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      hovermode: "closest", dragmode: false, font: { family: font },
      xaxis: {
        ...axis, showgrid: false, tickvals: metric.rounds.filter((_, at) => at % step === 0),
        ticktext: metric.rounds.map((round, at) => (at === 0 ? "start" : String(round))).filter((_, at) => at % step === 0),
        range: [metric.rounds[0] - 0.3, metric.rounds.at(-1) + 0.3],
      },
      yaxis: { ...axis, nticks: 5, automargin: true, range: [low - room, high + room] },
    }, { ...config, displayModeBar: false });
    if (element.listening) return;
    element.listening = true;
    element.on("plotly_hover", (event) => {
      const at = event.points[0], one = tried.find((each) => each.round === at.x && each.value === at.y);
      const lines = [["round", at.x === metric.rounds[0] ? "start" : String(at.x)], [metric.title, at.y.toPrecision(4)]];
      if (one) lines.push(["action", `${one.action}: ${one.outcome.replace("_", " ")}`]);
      showTip(null, lines);
    });
    element.on("plotly_unhover", hideTip);
  }

  // --- the cluster table -----------------------------------------------------------------------------------
  function sortable(table) {
    const body = table.tBodies[0];
    table.querySelectorAll("th button").forEach((button) => button.addEventListener("click", () => {
      const head = button.closest("th"), column = head.cellIndex;
      const down = head.getAttribute("aria-sort") !== "descending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const numeric = head.classList.contains("number");
      const compare = (a, b) => {
        if (!numeric) return key(b).localeCompare(key(a));
        if (key(a) === "" || key(b) === "") return (key(a) === "") === (key(b) === "") ? 0 : (key(a) === "") === down ? 1 : -1;
        return Number(key(b)) - Number(key(a));
      };
      body.append(...[...body.rows].sort((a, b) => (down ? compare(a, b) : compare(b, a))));
    }));
  }

  function draw() {
    document.querySelectorAll(".map").forEach(drawMap);
    document.querySelectorAll("[data-metric]").forEach(drawMetric);
  }

  document.querySelectorAll(".controls input").forEach((input) => input.addEventListener("change", () => {
    document.querySelectorAll(".map").forEach(drawMap);
    document.querySelectorAll("[data-when]").forEach((note) => { note.hidden = note.dataset.when !== chosen("colour"); });
  }));
  document.getElementById("highlighted")?.addEventListener("click", () => highlight(null));
  document.querySelectorAll("button[data-cluster]").forEach((button) => button.addEventListener("click", () => {
    highlight(Number(button.dataset.cluster));
    document.getElementById("maps").scrollIntoView({ behavior: "smooth" });
  }));
  document.querySelectorAll("table.sortable").forEach(sortable);
  // On paper: reasons unfolded, plots as wide as the style sheet's print columns. A browser cannot print a 3-D map.
  const plots = () => [...document.querySelectorAll("[data-dimensions='2'], .plot")].filter((element) => element.listening);
  addEventListener("beforeprint", () => {
    document.querySelectorAll(".round details").forEach((one) => { one.open = true; });
    plots().forEach((element) => Plotly.relayout(element, { width: element.matches(".metrics figure:not(.wide) *") ? 300 : 620 }));
  });
  addEventListener("afterprint", () => plots().forEach((element) => Plotly.relayout(element, { width: null, autosize: true })));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
