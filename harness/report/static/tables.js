// Tables: sorted by their headings, copied as Markdown, LaTeX or CSV.
AT.sortable = function (table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.querySelector("button")) return;
    const button = AT.el("button", { type: "button", class: "sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascends = head.getAttribute("aria-sort") === "ascending";
      const descends = head.getAttribute("aria-sort") === "descending";
      const first = head.dataset.first || "ascending";
      const next = ascends ? "descending" : descends ? "ascending" : first;
      AT.sortBy(table, column, next);
    });
  });
};

AT.sortKey = function (cell) {
  const text = cell.dataset.value !== undefined ? cell.dataset.value : cell.textContent.trim();
  if (text === "" || text === "–" || text === "never") return null;
  // An interval, or a figure with one after it, goes by its first number.
  const first = /^<?\.?\d[^–(]*/.exec(text);
  const number = Number((first ? first[0] : text).replace(/[\u202f,%*< ]/g, ""));
  return Number.isNaN(number) ? text.toLowerCase() : number;
};

// What has no value stays last in either direction.
AT.sortBy = function (table, column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row, at) => ({ row, at, key: AT.sortKey(row.cells[column]) }));
  rows.sort((a, b) => {
    if (a.key === null || b.key === null) {
      return (a.key === null) - (b.key === null) || a.at - b.at;
    }
    if (typeof a.key !== typeof b.key) return typeof a.key === "number" ? -1 : 1;
    if (a.key < b.key) return -sign;
    return a.key > b.key ? sign : a.at - b.at;
  });
  body.append(...rows.map((entry) => entry.row));
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    if (i === column) head.setAttribute("aria-sort", direction);
    else head.removeAttribute("aria-sort");
  });
};

AT.grid = (table) =>
  [...table.rows].map((row) =>
    [...row.cells].map((cell) => cell.textContent.replace(/\s+/g, " ").trim()),
  );

AT.asMarkdown = function (rows) {
  const clean = rows.map((row) => row.map((text) => text.replace(/([\\|*_`<>])/g, "\\$1")));
  const line = (row) => `| ${row.join(" | ")} |`;
  const rule = clean[0].map((_, i) => (i === 0 ? "---" : "---:"));
  return [line(clean[0]), line(rule), ...clean.slice(1).map(line)].join("\n");
};

AT.asLatex = function (rows) {
  const special = {
    "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", $: "\\$", "#": "\\#", _: "\\_",
    "{": "\\{", "}": "\\}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "<": "\\textless{}", ">": "\\textgreater{}", "–": "--", "\u202f": "\\,", "×": "$\\times$",
    "≈": "$\\approx$",
  };
  const clean = (text) => text.replace(/[\\&%$#_{}~^<>–\u202f×≈]/g, (c) => special[c]);
  const line = (row) => `  ${row.map(clean).join(" & ")} \\\\`;
  return [
    `\\begin{tabular}{l${"r".repeat(rows[0].length - 1)}}`, "  \\toprule", line(rows[0]),
    "  \\midrule", ...rows.slice(1).map(line), "  \\bottomrule", "\\end{tabular}",
  ].join("\n");
};

AT.asCsv = function (rows) {
  const field = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  return rows.map((row) => row.map(field).join(",")).join("\n");
};

AT.formats = { Markdown: AT.asMarkdown, LaTeX: AT.asLatex, CSV: AT.asCsv };

AT.copy = async function (text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Where the page may not use the clipboard, a selected text can still be copied.
    const box = AT.el("textarea", { class: "offscreen", "aria-hidden": "true" });
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
};

AT.copyButtons = function (table, name) {
  const buttons = Object.entries(AT.formats).map(([format, write]) =>
    AT.el("button", {
      type: "button",
      class: "small",
      "aria-label": `Copy ${name} as ${format}`,
      onclick: async () => {
        const text = write(AT.grid(table));
        AT.copied = text;
        await AT.copy(text);
        AT.say(`Copied as ${format}`);
      },
    }, format),
  );
  return AT.el("div", { class: "tools" }, AT.el("span", { class: "soft" }, "Copy"), ...buttons);
};

// A table from rows: columns are {head, text(row), value(row), first, kind(row), mark(row)}; `mark` is
// a sign after the figure, with room kept for it in every row.
AT.fill = function (table, columns, rows, best) {
  const head = AT.el("tr", {}, columns.map((column) =>
    AT.el("th", { scope: "col", "data-first": column.first, title: column.title }, [column.head].flat().map((part) =>
      (part instanceof Node ? part.cloneNode(true) : part))),
  ));
  const body = rows.map((row) =>
    AT.el("tr", {}, columns.map((column, c) => {
      const value = column.value ? column.value(row) : undefined;
      const cell = AT.el(c === 0 ? "th" : "td", {
        scope: c === 0 ? "row" : null,
        "data-value": value === undefined ? null : value === null ? "" : String(value),
        class: best && best(column, row) ? "best" : null,
      }, column.text(row));
      if (column.kind) cell.append(" ", AT.badge(column.kind(row)));
      if (column.mark) cell.append(AT.el("span", { class: "mark" }, column.mark(row)));
      return cell;
    })),
  );
  table.replaceChildren(AT.el("thead", {}, head), AT.el("tbody", {}, body));
  AT.sortable(table);
};

AT.dressTables = function (root) {
  for (const table of root.querySelectorAll("table[data-name]")) {
    if (table.tHead) AT.sortable(table);
    const box = table.closest(".scroll");
    if (!box.nextElementSibling || !box.nextElementSibling.classList.contains("tools")) {
      box.after(AT.copyButtons(table, table.dataset.name));
    }
  }
};

AT.dressTables(document);

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.addEventListener("click", async () => {
    await AT.copy(button.parentElement.querySelector("code").textContent);
    AT.say("Copied");
  });
}
