// Search, sort and download the table of conversations; say what a mark in a figure is when it is tapped.
// The page can be read without this. Nothing that people wrote is ever taken for markup: only textContent is set.
// A browser needs seconds to lay out 10,000 rows, so the table holds the first that match, and more as it is scrolled.
(() => {
  "use strict";

  const ROWS = 300;
  const table = document.getElementById("overview-table");
  if (table) overview(table);
  marks();

  function overview(table) {
    const body = table.tBodies[0];
    const heads = Array.from(table.tHead.rows[0].cells);
    const searched = heads.filter((head) => "find" in head.dataset).map((head) => head.cellIndex);
    const rows = Array.from(body.rows);
    const indexes = new Map(rows.map((row, index) => [row, index]));
    const words = new Map();
    const controls = document.getElementById("overview-controls");
    const find = document.getElementById("overview-find");
    const troubled = document.getElementById("overview-troubled");
    const count = document.getElementById("overview-count");
    let matching = rows;
    let inTable = 0;

    const wordsOf = (row) => {
      if (!words.has(row)) words.set(row, searched.map((index) => folded(row.cells[index].textContent.trim()) + "\n").join(""));
      return words.get(row);
    };

    const more = () => {
      body.append(...matching.slice(inTable, inTable + ROWS));
      inTable = Math.min(inTable + ROWS, matching.length);
    };

    const show = () => {
      const wanted = folded(find.value.trim());
      const ending = endOfNumber(wanted);
      matching = rows.filter(
        (row) =>
          (!troubled.checked || row.querySelector(".b,.w")) &&
          (!wanted || wordsOf(row).includes(wanted) || (ending && wordsOf(row).includes(ending))),
      );
      body.replaceChildren();
      inTable = 0;
      more();
      table.parentElement.scrollTop = 0;
      count.textContent = count.dataset.words
        .replace("%(shown)s", matching.length.toLocaleString("en"))
        .replace("%(all)s", rows.length.toLocaleString("en"));
    };

    const sort = (head) => {
      const keyed = rows.map((row) => ({ row, value: key(row.cells[head.cellIndex]) }));
      const numeric = keyed.every(({ value }) => typeof value === "number");
      const collator = new Intl.Collator(undefined, { numeric: true });
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numeric;
      const order = numeric ? (a, b) => a - b : (a, b) => collator.compare(String(a), String(b));
      keyed.sort((a, b) => (down ? -1 : 1) * order(a.value, b.value) || indexes.get(a.row) - indexes.get(b.row));
      keyed.forEach(({ row }, index) => (rows[index] = row));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      show();
    };

    let waiting = 0;
    find.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(show, 120);
    });
    troubled.addEventListener("change", show);
    controls.addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("overview-csv").addEventListener("click", () => download([table.tHead.rows[0], ...matching]));
    table.parentElement.addEventListener("scroll", ({ target }) => {
      if (target.scrollTop + 2 * target.clientHeight > target.scrollHeight) more();
    });
    for (const head of heads) sortable(head, sort);
    controls.hidden = false;
    show();
  }

  // Ending by which a whole phone number is found: a page holds only its last digits.
  function endOfNumber(wanted) {
    const digits = wanted.replace(/\D/g, "");
    return /^[+\d\s().-]+$/.test(wanted) && digits.length > 4 ? "..." + digits.slice(-4) + "\n" : "";
  }

  // Text for comparison in a search: without case, marks, and the forms of alef, ya and ta marbuta; digits as 0 to 9.
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

  function sortable(head, sort) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }

  // Sort key of a cell: a number if it holds one; lost messages count for more than other trouble.
  function key(cell) {
    const text = cell ? cell.textContent.trim() : "";
    if (text === "✓") return 0;
    if (/^[✗~]\d+$/.test(text)) return Number(text.slice(1)) + (text[0] === "✗" ? 1e6 : 0);
    return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text || -1;
  }

  function download(rows) {
    const cells = (row) => Array.from(row.cells, (cell) => quoted(cell.textContent.trim())).join(",");
    const lines = rows.map(cells);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff" + lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = "conversations.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // A spreadsheet must not take what somebody wrote for a formula, at the beginning or after a separator of cells.
  function quoted(text) {
    const begun = /^[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]/.test(text) ? "'" + text : text;
    const safe = begun.replace(/([;|\t\n])(?=[ \t]*[=+\-@\uff0b\uff0d\uff1d\uff20])/g, "$1'");
    return '"' + safe.replaceAll('"', '""') + '"';
  }

  // A title is shown when a pointer rests on its mark; on a touch screen, when the mark is tapped.
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
