"use strict";
// Replaces the static figure by one that can be explored, in the colours of the reader's scheme.
(() => {
  const place = document.getElementById("interactive-figure");
  const source = document.getElementById("figure-data");
  if (!place || !source || !window.Plotly) return;
  const figure = JSON.parse(source.textContent);

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    return { ink: read("--ink"), quiet: read("--quiet"), line: read("--line") };
  };
  const themed = () => {
    const { ink, quiet, line } = colours();
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickfont: { color: quiet } };
    const { xaxis, yaxis } = figure.layout;
    return {
      ...figure.layout,
      font: { color: ink, family: "system-ui, sans-serif" },
      xaxis: { ...xaxis, ...axis },
      yaxis: { ...yaxis, ...axis },
    };
  };
  const options = { responsive: true, displaylogo: false, displayModeBar: false };
  place.hidden = false;
  Plotly.newPlot(place, figure.data, themed(), options).then(() => {
    document.getElementById("static-figure").hidden = true;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    Plotly.react(place, figure.data, themed(), options);
  });
})();
