// What moves on the page: figures, the table of windows, and saving as CSV.
// Whatever a user brought is written with textContent only, never as markup.
(function () {
  "use strict";

  const FIRST_ROWS = 100;
  const NARROW = 600;
  const PRINT_WIDTH = 680;
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);

  function make(tag, text, className) {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  }

  // ---- CSV: text that a spreadsheet would run as a formula gets an apostrophe ----

  function cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    let text = String(value);
    if (/^[=+\-@\t\r]/.test(text)) text = "'" + text;
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  }

  function toCsv(header, rows) {
    return [header].concat(rows).map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  }

  function save(name, csv) {
    // The mark at the front tells spreadsheets that this is UTF-8.
    const url = URL.createObjectURL(new Blob(["\ufeff" + csv], { type: "text/csv" }));
    const link = make("a");
    link.href = url;
    link.download = name.replace(/[^A-Za-z0-9_.-]+/g, "_") + ".csv";
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  function valueOf(column, row) {
    const value = column.values[row];
    return column.words && value !== null ? column.words[value] : value;
  }

  function tableCsv(table, rows) {
    return toCsv(
      table.columns.map((column) => column.name),
      rows.map((row) => table.columns.map((column) => valueOf(column, row)))
    );
  }

  // Figure texts are escaped for plotly; in a CSV they stand as they were.
  function unescaped(text) {
    const signs = { "&lt;": "<", "&gt;": ">", "&amp;": "&" };
    return text.replace(/&lt;|&gt;|&amp;/g, (found) => signs[found]).replace(/<br>/g, "; ");
  }

  function figureCsv(figure) {
    const rows = [];
    for (const trace of figure.data) {
      const meta = trace.meta || {};
      if (meta.csv === false) continue;
      for (let i = 0; i < trace.x.length; i += 1) {
        if (trace.y[i] === null || trace.x[i] === null) continue;
        const text = Array.isArray(trace.text) ? unescaped(trace.text[i]) : "";
        const name = trace.name ? unescaped(trace.name) : "";
        const x = meta.x ? meta.x[i] : trace.x[i];
        const y = meta.y ? meta.y[i] : trace.y[i];
        rows.push([name, meta.panel || "", x, y, text]);
      }
    }
    return toCsv(["series", "panel"].concat(figure.layout.meta.columns, ["note"]), rows);
  }

  // ---- figures ----

  function draw(node) {
    const figure = read(node.id + "-data");
    for (const trace of figure.data) {
      if (trace.meta && trace.meta.shares_text) trace.text = figure.layout.meta.text;
    }
    const layout = JSON.parse(JSON.stringify(figure.layout));
    const isNarrow = node.clientWidth > 0 && node.clientWidth < NARROW;
    const config = {
      responsive: true,
      displaylogo: false,
      displayModeBar: isNarrow ? false : "hover",
      // Plotly's own choice includes a button that uploads the figure; ours keeps data here.
      plotlyServerURL: "",
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    };
    if (isNarrow) layout.height = layout.meta.narrow.height || layout.height;
    Plotly.newPlot(node, figure.data, layout, config).then(() => {
      if (isNarrow) Plotly.relayout(node, layout.meta.narrow);
    });
    return figure;
  }

  const figures = {};
  document.querySelectorAll(".plot").forEach((node) => {
    figures[node.id] = draw(node);
  });
  const resize = (width) =>
    document.querySelectorAll(".plot").forEach((node) => {
      Plotly.relayout(node, width ? { width: width, autosize: false } : { width: null, autosize: true });
    });
  window.addEventListener("beforeprint", () => resize(PRINT_WIDTH));
  window.addEventListener("afterprint", () => resize(null));

  // ---- table of windows: search, sort, first rows only ----

  function windowsTable(table) {
    const shown = table.columns.filter((column) => column.shown);
    const column = (name) => table.columns.find((item) => item.name === name);
    const n = column("comp_id").values.length;
    const searched = [column("name"), column("comp_id"), column("species")];
    const haystack = Array.from({ length: n }, (_, row) =>
      searched.map((item) => valueOf(item, row) ?? "").join(" ").toLowerCase()
    );
    const hasNames = column("name").words.length > 0;
    const state = { sort: hasNames ? "name" : "comp_id", ascending: true, limit: FIRST_ROWS };
    let matching = [];

    function compare(sorted) {
      const sign = state.ascending ? 1 : -1;
      return (a, b) => {
        const left = valueOf(sorted, a);
        const right = valueOf(sorted, b);
        if (left === null || right === null) return (left === null) - (right === null) || a - b;
        const order =
          sorted.kind === "text"
            ? String(left).localeCompare(String(right), "en", { numeric: true })
            : left - right;
        return sign * order || a - b;
      };
    }

    function choose() {
      const terms = byId("windows-search").value.toLowerCase().split(/\s+/).filter(Boolean);
      const species = byId("windows-species").value;
      matching = [];
      for (let row = 0; row < n; row += 1) {
        if (species !== "" && String(column("species").values[row]) !== species) continue;
        if (terms.every((term) => haystack[row].includes(term))) matching.push(row);
      }
      matching.sort(compare(column(state.sort)));
    }

    function written(item, row) {
      const value = valueOf(item, row);
      if (value === null) return "–";
      return item.kind === "minutes" ? value.toFixed(4) : String(value);
    }

    function headings() {
      const row = make("tr");
      for (const item of shown) {
        const th = make("th", undefined, item.kind === "text" ? "" : "number");
        th.scope = "col";
        const isSorted = item.name === state.sort;
        if (isSorted) th.setAttribute("aria-sort", state.ascending ? "ascending" : "descending");
        const arrow = isSorted ? (state.ascending ? " ▲" : " ▼") : "";
        const button = make("button", item.label + arrow);
        button.type = "button";
        button.addEventListener("click", () => {
          state.ascending = isSorted ? !state.ascending : true;
          state.sort = item.name;
          refresh();
        });
        th.appendChild(button);
        row.appendChild(th);
      }
      const head = make("thead");
      head.appendChild(row);
      return head;
    }

    function render() {
      const body = make("tbody");
      for (const row of matching.slice(0, state.limit)) {
        const tr = make("tr");
        for (const item of shown) {
          tr.appendChild(make("td", written(item, row), item.kind === "text" ? "" : "number"));
        }
        body.appendChild(tr);
      }
      byId("windows-table").replaceChildren(headings(), body);
      const first = Math.min(state.limit, matching.length);
      byId("windows-count").textContent =
        matching.length.toLocaleString("en") + " of " + n.toLocaleString("en") + " windows match" +
        (first < matching.length ? "; the first " + first + " are shown." : ".");
      byId("windows-more").hidden = first >= matching.length;
    }

    function refresh() {
      state.limit = FIRST_ROWS;
      choose();
      render();
    }

    byId("windows-search").addEventListener("input", refresh);
    byId("windows-species").addEventListener("change", refresh);
    byId("windows-more").addEventListener("click", () => {
      state.limit += 2 * FIRST_ROWS;
      render();
    });
    refresh();
    return () => matching;
  }

  let matchingWindows = () => [];
  if (byId("windows-data")) matchingWindows = windowsTable(read("windows-data"));

  document.querySelectorAll("button.save").forEach((button) => {
    button.addEventListener("click", () => {
      if (button.dataset.figure) {
        const figure = figures[button.dataset.figure];
        save(figure.file, figureCsv(figure));
        return;
      }
      const table = read(button.dataset.table + "-data");
      const isWindows = button.dataset.table === "windows";
      const rows = isWindows ? matchingWindows() : [...table.columns[0].values.keys()];
      save(table.file, tableCsv(table, rows));
    });
  });
})();
