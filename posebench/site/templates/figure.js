"use strict";
// Replaces the static figure by one that can be explored, once everything else is on the screen.
(() => {
  const source = document.getElementById("figure-data");
  const place = document.getElementById("interactive-figure");
  if (!source || !place) return;
  const { points, axes, colours, shapes, dataset } = JSON.parse(source.textContent);
  const form = document.getElementById("figure-filters");
  const card = document.getElementById("card");
  const fields = form.elements;
  const narrow = matchMedia("(max-width: 52rem)");
  const OWN = "as each was claimed";
  const LABELLED = 14;
  const LETTER = 6.2;  // px, of the names beside markers
  const kinds = { whole: "measured", subset: "measured on a part", claimed: "claimed, not measured" };
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });

  // --- filters ---------------------------------------------------------------------------------
  const distinct = (name, among) => [...new Set(among.map((point) => point[name]))].sort(
    (a, b) => a.localeCompare(b, "en", { numeric: true }),
  );
  const fill = (name, values, first) => {
    const select = fields[name];
    const before = select.value;
    select.replaceChildren(...first, ...values.map((value) => new Option(value, value)));
    if ([...select.options].some((option) => option.value === before)) select.value = before;
    select.closest("label").hidden = values.length < 2;
  };
  const others = ["hardware", "form", "batch", "zoo", "size"];
  const ofDataset = () => points.filter((point) => point.dataset === fields.dataset.value);
  const refill = () => {
    const among = ofDataset();
    const own = among.some((point) => point.own) ? [new Option(OWN, "own")] : [];
    fill("protocol", distinct("protocol", among), [...own, new Option("every one", "every")]);
    for (const name of others) fill(name, distinct(name, among), [new Option("every one", "every")]);
    for (const option of fields.axis.options) {
      option.disabled = !among.some((point) => point[option.value] !== null);
    }
    if (fields.axis.selectedOptions[0].disabled) {
      fields.axis.value = [...fields.axis.options].find((option) => !option.disabled).value;
    }
  };
  const axis = () => axes.find((each) => each.key === fields.axis.value);
  const flagged = (point) => point.flagged.includes(axis().key);
  const shown = () => ofDataset().filter((point) => {
    const protocol = fields.protocol.value;
    if (protocol === "own" ? !point.own : protocol !== "every" && point.protocol !== protocol) return false;
    return others.every((name) => ["every", point[name]].includes(fields[name].value)) &&
      point[axis().key] !== null;
  });

  // --- what the figure shows -------------------------------------------------------------------
  const frontier = (among) => {
    const { key, rising } = axis();
    const quotable = among.filter((point) => !flagged(point));
    const measured = quotable.filter((point) => point.kind === "whole" && !point.borrows);
    const kind = measured.length > 1 ? "measured" : "claimed";
    const entrants = kind === "measured" ? measured : quotable.filter((point) => point.kind === "claimed");
    const bestFirst = [...entrants].sort(
      (a, b) => (rising ? b[key] - a[key] : a[key] - b[key]) || b.accuracy - a.accuracy,
    );
    const best = [];
    for (const point of bestFirst) {
      if (!best.length || point.accuracy > best.at(-1).accuracy) best.push(point);
    }
    return { kind, best: best.sort((a, b) => a[key] - b[key]) };
  };
  const styles = () => {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    return { ink: read("--ink"), quiet: read("--quiet"), line: read("--line"), paper: read("--paper") };
  };
  const symbol = (point) => {
    if (flagged(point)) return "x-thin";
    const shape = shapes[point.hardware];
    return { whole: shape, subset: `${shape}-open-dot`, claimed: `${shape}-open` }[point.kind];
  };
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const name = (point) =>
    point.kind === "subset" ? `${point.name} (subset, n=${point.persons})` : point.name;
  const bars = (among, span, at) => {
    const ends = among.map((point) => point[span] || [point[at], point[at]]);
    return {
      type: "data",
      symmetric: false,
      array: among.map((point, i) => Math.max(0, ends[i][1] - point[at])),
      arrayminus: among.map((point, i) => Math.max(0, point[at] - ends[i][0])),
      thickness: 1.1,
      width: 0,
    };
  };
  // Names where there is room: each takes the first of six places that no other name needs.
  // Nothing better stands above the best, on their better side.
  const places = () => {
    const sides = axis().rising ? ["right", "center", "left"] : ["left", "center", "right"];
    return ["top", "bottom"].flatMap((half) => sides.map((side) => `${half} ${side}`));
  };
  const labels = (among, named) => {
    const log = isWide(among) ? Math.log10 : Number;
    const [left, right] = withRoom(among.map((point) => log(point[axis().key])));
    const heights = among.map((point) => point.accuracy);
    const [low, high] = withRoom(heights);
    const [width, height] = [place.clientWidth - 80, place.clientHeight - 80];
    const taken = [];
    const found = new Map();
    for (const point of named) {
      const x = (log(point[axis().key]) - left) / (right - left) * width;
      const y = (high - point.accuracy) / (high - low) * height;
      const long = LETTER * name(point).length;
      const away = point.diameter / 2 + 1;
      for (const at of places()) {
        const x0 = at.endsWith("center") ? x - long / 2 : at.endsWith("right") ? x + 2 : x - 2 - long;
        const y0 = at.startsWith("top") ? y - away - 13 : y + away;
        const box = [x0, y0, x0 + long, y0 + 13];
        const free = taken.every((b) => b[2] < box[0] || b[0] > box[2] || b[3] < box[1] || b[1] > box[3]);
        if (!free || box[0] < 0 || box[2] > width) continue;
        taken.push(box);
        found.set(point, at);
        break;
      }
    }
    return found;
  };
  const isWide = (among) => {
    const values = among.map((point) => point[axis().key]);
    return values.length > 0 && Math.max(...values) > 4 * Math.min(...values) && Math.min(...values) > 0;
  };
  const traces = (among) => {
    const { key, span } = axis();
    const { best } = frontier(among);
    const { quiet } = styles();
    const labelled = labels(among, among.length <= LABELLED ? among : best);
    const made = [];
    const line = (xs, ys, style) => made.push({
      type: "scatter", mode: "lines", x: xs, y: ys, hoverinfo: "skip", showlegend: false, ...style,
    });
    if (best.length > 1) {
      line(best.map((p) => p[key]), best.map((p) => p.accuracy),
        { line: { color: quiet, width: 1.2, dash: "dash" } });
    }
    for (const zoo of distinct("zoo", among)) {
      const some = among.filter((point) => point.zoo === zoo);
      const judged = some.filter((point) => point.kind !== "claimed" && point.claimed !== null);
      line(judged.flatMap((p) => [p[key], p[key], null]),
        judged.flatMap((p) => [p.accuracy, p.claimed, null]),
        { line: { color: colours[zoo], width: 3.5 }, opacity: 0.4 });
      const trace = {
        type: "scatter",
        mode: "markers+text",
        name: escaped(zoo),
        x: some.map((point) => point[key]),
        y: some.map((point) => point.accuracy),
        text: some.map((point) => (labelled.has(point) ? escaped(name(point)) : "")),
        textposition: some.map((point) => labelled.get(point) || "top center"),
        textfont: { size: 11 },
        customdata: some.map((point) => points.indexOf(point)),
        hoverinfo: "none",
        cliponaxis: false,
        error_y: { ...bars(some, "interval", "accuracy"), color: colours[zoo] },
        marker: {
          color: colours[zoo],
          size: some.map((point) => point.diameter),
          symbol: some.map(symbol),
          opacity: some.map((point) => (point.kind === "claimed" ? 0.6 : 1)),
          line: { width: 1.6, color: colours[zoo] },
        },
      };
      if (span) trace.error_x = { ...bars(some, span, key), color: colours[zoo] };
      made.push(trace);
    }
    return made;
  };
  // 1, 2 and 5 of every power of ten in reach, written out
  const roundNumbers = (low, high) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.log10(high) + 1; power += 1) {
      found.push(...[1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
    }
    return found;
  };
  // names stand beside the outermost markers
  const withRoom = (values) => {
    if (!values.length) return undefined;
    const low = Math.min(...values);
    const room = Math.max(...values) - low || Math.abs(low) || 1;
    return [low - 0.09 * room, Math.max(...values) + 0.11 * room];
  };
  const layout = (among) => {
    const { ink, quiet, line } = styles();
    const { key, title } = axis();
    const values = among.map((point) => point[key]);
    const wide = isWide(among);
    const ticks = wide ? roundNumbers(Math.min(...values), Math.max(...values)) : undefined;
    const metrics = distinct("metric", among).join(" or ");
    const style = { gridcolor: line, zerolinecolor: line, linecolor: line, tickfont: { color: quiet }, automargin: true };
    return {
      margin: { l: 8, r: 16, t: 16, b: 8 },
      hovermode: "closest",
      hoverdistance: 30,
      dragmode: narrow.matches ? false : "zoom",
      showlegend: false,
      font: { color: ink, family: "system-ui, sans-serif", size: 12 },
      xaxis: { ...style, title: { text: title, font: { color: quiet } }, type: wide ? "log" : "linear",
        range: wide ? withRoom(values.map(Math.log10)) : withRoom(values), tickvals: ticks, ticktext: ticks && ticks.map((tick) => tick.toLocaleString("en")) },
      yaxis: { ...style, title: { text: escaped(`${metrics} on ${fields.dataset.value}, percent`), font: { color: quiet } } },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
    };
  };

  // --- words beside it -------------------------------------------------------------------------
  const element = (tag, text, kind) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const span = (ends, digits) => (ends ? ` (${ends.map((end) => digits(end)).join(" to ")})` : "");
  const oneDigit = (value) => value.toFixed(1);
  const describe = (point) => {
    const { key, title, span: ends } = axis();
    const lines = [element("b", name(point))];
    if (narrow.matches) {
      const link = element("a", "Open the model");
      link.href = point.page;
      lines.push(element("span", " "), link);
    }
    const say = (text) => lines.push(element("p", text));
    say(`${point.zoo}, ${point.dataset}, ${point.protocol || "no protocol"}`);
    say(`${point.metric} ${point.accuracy.toFixed(2)}${span(point.interval, oneDigit)}, ${kinds[point.kind]}` +
      (point.kind !== "claimed" && point.claimed !== null ? `; claimed ${point.claimed}` : ""));
    say(`${title}: ${number(point[key])}${span(ends && point[ends], number)}${flagged(point) ? ", not to be quoted" : ""}`);
    say(`${point.hardware}, batch ${point.batch}, ${point.form} network, input ${point.size}`);
    say(`${number(point.parameters)} M parameters` + (point.gflops ? `, ${number(point.gflops)} GFLOP` : ""));
    if (point.note) say(point.note);
    lines.push(element("code", point.command));
    return lines;
  };
  const show = (point, bounds) => {
    card.replaceChildren(...describe(point));
    card.hidden = false;
    if (narrow.matches || !bounds) return;
    const box = place.getBoundingClientRect();
    const outer = card.parentElement.getBoundingClientRect();
    const left = box.left - outer.left + bounds.x1 + 14;
    const room = outer.width - card.offsetWidth - 8;
    card.style.left = `${left > room ? Math.max(8, left - card.offsetWidth - 28 - (bounds.x1 - bounds.x0)) : left}px`;
    card.style.top = `${Math.max(8, box.top - outer.top + bounds.y0 - card.offsetHeight / 3)}px`;
  };
  const tell = (among) => {
    const rows = [...among].sort((a, b) => b[axis().key] - a[axis().key]).map((point) => {
      const row = document.createElement("tr");
      const head = element("th", "");
      head.scope = "row";
      const link = element("a", point.name);
      link.href = point.page;
      head.append(link, element("span", point.zoo, "small"));
      const accuracy = element("td", `${point.metric} ${oneDigit(point.accuracy)}`, "number");
      accuracy.append(element("span", kinds[point.kind] + (point.kind === "subset" ? `, n=${point.persons}` : ""), "small"));
      const timed = element("td", point.hardware);
      timed.append(element("span", `batch ${point.batch}, ${point.form}`, "small"));
      if (point.note) timed.append(element("span", point.note, "small"));
      const command = element("td", "");
      command.append(element("code", point.command));
      const value = element("td", number(point[axis().key]), "number");
      if (flagged(point)) value.append(element("span", "not to be quoted", "small"));
      row.append(head, accuracy, element("td", point.claimed === null ? "–" : String(point.claimed), "number"),
        value, timed, command);
      return row;
    });
    document.querySelector("#points-table tbody").replaceChildren(...rows);
    document.getElementById("points-count").textContent = String(among.length);
    document.getElementById("points-axis").textContent = axis().title;
    const { kind, best } = frontier(among);
    const side = axis().rising ? "right" : "left";
    const dashed = best.length > 1 ? ` The dashed line joins the ${kind} models that no other beats in both.` : "";
    document.getElementById("figure-words").textContent = among.length
      ? `${among.length} points; up and to the ${side} is better.${dashed}`
      : "No point is like that: choose fewer filters.";
  };
  const paths = {
    circle: "M7 2a5 5 0 1 0 .01 0z", square: "M2.5 2.5h9v9h-9z", diamond: "M7 1l6 6-6 6-6-6z",
    "triangle-up": "M7 1.5l6 10.5H1z", "triangle-down": "M7 12.5L1 2h12z", pentagon: "M7 1l6 4.5-2.3 7H3.3L1 5.5z",
    hexagon: "M7 1l5.2 3v6L7 13l-5.2-3V4z",
  };
  const sign = (path, colour, text) => {
    const item = element("li", "");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("width", "14");
    svg.setAttribute("height", "14");
    svg.setAttribute("aria-hidden", "true");
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
    drawn.setAttribute("d", path);
    drawn.setAttribute("fill", colour);
    svg.append(drawn);
    item.append(svg, element("span", text));
    return item;
  };
  const explain = (among) => {
    const items = distinct("zoo", among).map((zoo) => sign(paths.circle, colours[zoo], zoo));
    const machines = distinct("hardware", among);
    if (machines.length > 1) items.push(...machines.map((m) => sign(paths[shapes[m]], "currentColor", m)));
    document.getElementById("figure-legend").replaceChildren(...items);
  };

  // --- together --------------------------------------------------------------------------------
  const options = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false };
  const draw = () => {
    const among = shown();
    card.hidden = true;
    tell(among);
    explain(among);
    if (window.Plotly) return Plotly.react(place, traces(among), layout(among), options);
    return Promise.resolve();
  };
  const start = async () => {
    place.hidden = false;
    document.getElementById("static-figure").hidden = true;
    document.getElementById("figure-legend").hidden = false;
    await draw();
    place.on("plotly_hover", ({ points: [hit] }) => show(points[hit.customdata], hit.bbox));
    place.on("plotly_unhover", () => { if (!narrow.matches) card.hidden = true; });
    place.on("plotly_click", ({ points: [hit] }) => {
      // on a phone the first touch tells, its link opens
      if (narrow.matches) show(points[hit.customdata]);
      else location.href = points[hit.customdata].page;
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    let waiting;
    addEventListener("resize", () => {
      clearTimeout(waiting);
      waiting = setTimeout(draw, 150); // names find new places
    });
    document.documentElement.dataset.figure = "ready";
  };
  const load = () => {
    const script = document.createElement("script");
    script.src = "plotly.min.js";
    script.onload = start;
    document.head.append(script);
  };

  fill("dataset", distinct("dataset", points), []);
  fields.dataset.value = dataset;
  refill();
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target === fields.dataset) refill();
    draw();
  });
  // two frames later the page has been painted
  const painted = () => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(load, 0)));
  if (document.readyState === "complete") painted();
  else addEventListener("load", painted);
})();
