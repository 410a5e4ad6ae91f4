"use strict";
// The claims table: filters, order, export. Without this script all of it stands there, unsorted.
(() => {
  const table = document.getElementById("claims-table");
  const form = document.getElementById("claims-filters");
  if (!table || !form) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const fields = form.elements;
  const numeric = new Set(["claimed", "measured", "difference", "coverage"]);
  const selects = { zoo: "every zoo", dataset: "every dataset", verdict: "every verdict", metric: "every metric" };

  for (const [name, all] of Object.entries(selects)) {
    const values = [...new Set(rows.map((row) => row.dataset[name]))];
    if (name !== "verdict") values.sort();
    fields[name].append(new Option(all, ""), ...values.map((value) => new Option(value, value)));
    fields[name].closest("label").hidden = values.length < 2;
  }

  fields.own.closest("label").hidden = new Set(rows.map((row) => row.dataset.own)).size < 2;

  const shown = () => rows.filter((row) => !row.hidden);
  const filter = () => {
    const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const picked = Object.keys(selects).every(
        (name) => !fields[name].value || fields[name].value === row.dataset[name],
      );
      const spoken = words.every((word) => texts.get(row).includes(word));
      const first = !fields.primary.value || row.dataset.primary === "1";
      const owner = !fields.own.value || fields.own.value === row.dataset.own;
      row.hidden = !(picked && spoken && first && owner);
    }
    const count = shown().length;
    const said = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} claims`;
    document.getElementById("claims-count").textContent = said;
    document.getElementById("claims-none").hidden = count > 0;
    table.hidden = count === 0;
  };

  const order = (key, down) => {
    const value = (row) => row.dataset[key];
    const compare = numeric.has(key)
      ? (a, b) => Number(value(a)) - Number(value(b))
      : (a, b) => value(a).localeCompare(value(b));
    const sorted = key ? [...rows].sort((a, b) => {
      // what was not measured stands last either way
      if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
      return down ? compare(b, a) : compare(a, b);
    }) : rows;
    body.append(...sorted);
    for (const head of table.tHead.rows[0].cells) {
      if (!head.dataset.key) continue;
      const direction = down ? "descending" : "ascending";
      head.setAttribute("aria-sort", head.dataset.key === key ? direction : "none");
    }
  };

  for (const head of table.tHead.rows[0].cells) {
    if (!head.dataset.key) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      order(head.dataset.key, down);
      const option = (down ? "-" : "") + head.dataset.key;
      fields.sort.value = [...fields.sort.options].some((o) => o.value === option) ? option : "";
    });
  }

  const columns = ["model", "dataset", "metric", "claimed", "measured", "low", "high", "difference",
    "verdict", "subset", "images", "persons", "protocol", "coverage"];
  // a spreadsheet must not take a text for a formula
  const quoted = (text, key) => {
    const safe = !numeric.has(key) && !["low", "high"].includes(key) && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const csv = () => {
    const visible = new Set(shown());
    const inOrder = [...body.rows].filter((row) => visible.has(row));
    const lines = inOrder.map((row) => columns.map((key) => quoted(row.dataset[key], key)).join(","));
    return [columns.join(","), ...lines].join("\r\n") + "\r\n";
  };
  document.getElementById("claims-csv").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = "claims.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  document.getElementById("claims-reset").addEventListener("click", () => {
    form.reset();
    order("", false);
    filter();
  });
  for (const count of document.querySelectorAll("a.count, a.own-count")) {
    count.addEventListener("click", () => {
      form.reset();
      order("", false);
      fields.verdict.value = count.dataset.verdict;
      fields.own.value = count.dataset.own;
      filter();
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target === fields.sort) {
      const key = fields.sort.value;
      order(key.replace("-", ""), key.startsWith("-"));
    } else {
      filter();
    }
  });
  form.hidden = false;
  filter();
})();
