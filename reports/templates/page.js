// Search, sort and download the table of conversations; say what a mark in a figure is when it is tapped.
// The page can be read without this. Nothing that people wrote is ever taken for markup: only textContent is set.
(() => {
  "use strict";

  const table = document.getElementById("overview-table");
  if (table) overview(table);
  marks();

  function overview(table) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const find = document.getElementById("overview-find");
    const troubled = document.getElementById("overview-troubled");
    const count = document.getElementById("overview-count");
    const words = new Map();

    const wordsOf = (row) => {
      if (!words.has(row)) words.set(row, folded(row.textContent));
      return words.get(row);
    };

    const show = () => {
      const wanted = folded(find.value.trim());
      let shown = 0;
      for (const row of rows) {
        const fits = (!troubled.checked || row.querySelector(".b,.w")) && (!wanted || wordsOf(row).includes(wanted));
        row.hidden = !fits;
        if (fits) shown += 1;
      }
      count.textContent = count.dataset.words
        .replace("%(shown)s", shown.toLocaleString("en"))
        .replace("%(all)s", rows.length.toLocaleString("en"));
    };

    let waiting = 0;
    find.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(show, 120);
    });
    troubled.addEventListener("change", show);
    document.getElementById("overview-controls").addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("overview-csv").addEventListener("click", () => download(table));
    for (const head of table.tHead.rows[0].cells) sortable(head, body, rows);
    document.getElementById("overview-controls").hidden = false;
    show();
  }

  // Letters alike for who searches: without case, marks, and the forms of alef, ya and ta marbuta; digits as 0 to 9.
  function folded(text) {
    return text
      .normalize("NFKD")
      .replace(/[\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0670\u0640]/g, "")
      .replace(/[\u0671]/g, "\u0627")
      .replace(/\u0649/g, "\u064a")
      .replace(/\u0629/g, "\u0647")
      .replace(/[\u0660-\u0669\u06f0-\u06f9]/g, (digit) => String(digit.charCodeAt(0) & 15))
      .toLowerCase();
  }

  function sortable(head, body, rows) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = rows.map((row, place) => [key(row.cells[head.cellIndex]), place, row]);
      keyed.sort(([one, first], [other, second]) => {
        const order = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
        return (down ? -order : order) || first - second;
      });
      body.append(...keyed.map(([, , row]) => row));
    });
  }

  // A number where the cell holds one; what was lost counts for more than what went wrong otherwise.
  function key(cell) {
    const text = cell ? cell.textContent : "";
    if (text === "✓") return 0;
    if (/^[✗~]\d+$/.test(text)) return Number(text.slice(1)) + (text[0] === "✗" ? 1e6 : 0);
    return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text || -1;
  }

  function download(table) {
    const cells = (row) => Array.from(row.cells, (cell) => quoted(cell.textContent.trim())).join(",");
    const lines = [table.tHead.rows[0], ...Array.from(table.tBodies[0].rows).filter((row) => !row.hidden)].map(cells);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff" + lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = "conversations.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // A spreadsheet must not take what somebody wrote for a formula.
  function quoted(text) {
    const safe = /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
    return '"' + safe.replaceAll('"', '""') + '"';
  }

  // Titles of marks are shown where a pointer rests; a finger has no such thing.
  function marks() {
    const note = document.createElement("p");
    note.className = "mark-note";
    note.setAttribute("role", "status");
    note.hidden = true;
    document.body.append(note);
    document.addEventListener("click", (event) => {
      const mark = event.target instanceof Element ? event.target.closest("svg.swimlane g") : null;
      const title = mark ? mark.querySelector(":scope > title") : null;
      note.hidden = !title;
      note.textContent = title ? title.textContent : "";
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") note.hidden = true;
    });
  }
})();
