"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const root = document.documentElement;
  const theme = get("theme");
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const keep = (value) => { try { localStorage.setItem("theme", value); } catch { /* a page from a file may not */ } };
  const show = (value) => {
    if (value === "light" || value === "dark") root.dataset.theme = value;
    else delete root.dataset.theme;
  };
  theme.value = ["light", "dark"].includes(stored()) ? stored() : "system";
  show(theme.value);
  theme.addEventListener("change", () => { show(theme.value); keep(theme.value); });

  const body = get("verdicts").tBodies[0];
  const rows = [...body.rows];
  const sections = [...document.querySelectorAll("section[data-claim]")];
  const text = (name) => get(name).value.trim().toLowerCase();
  const filter = () => {
    const words = text("search").split(/\s+/).filter(Boolean);
    const wanted = { group: text("group"), outcome: text("outcome"), fit: text("fit") };
    const claims = new Set();
    let count = 0;
    for (const row of rows) {
      const shown = words.every((word) => row.dataset.text.includes(word))
        && Object.entries(wanted).every(([key, value]) => !value || row.dataset[key] === value);
      row.hidden = !shown;
      if (shown) { count += 1; claims.add(row.dataset.claim); }
    }
    for (const section of sections) section.hidden = !claims.has(section.dataset.claim);
    get("count").textContent = `${count} of ${rows.length} cases`;
    get("none").hidden = count > 0;
  };
  const inputs = ["search", "group", "outcome", "fit"];
  for (const name of inputs) get(name).addEventListener("input", filter);
  get("reset").addEventListener("click", () => {
    for (const name of inputs) get(name).value = "";
    filter();
    get("search").focus();
  });

  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent;
  const numeric = (value) => value !== "" && !Number.isNaN(Number(value));
  const order = (a, b) => (numeric(a) && numeric(b) ? Number(a) - Number(b) : compare(a, b));
  for (const head of document.querySelectorAll("#verdicts th")) {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const column = head.cellIndex;
      const sorted = [...rows].sort((a, b) => {
        const [x, y] = [key(a, column), key(b, column)];
        // What has no value stays last in either direction.
        if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
        return (down ? -1 : 1) * order(x, y);
      });
      body.append(...sorted);
    });
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      get("search").focus();
    }
    if (event.key === "Escape" && event.target.id === "search") { get("reset").click(); }
  });
  // A link to a claim that the filter hides shows it again.
  const reveal = () => {
    let name = location.hash.slice(1);
    try { name = decodeURIComponent(name); } catch { /* a claim may be called "50% off" */ }
    const section = get(name);
    if (section?.hidden) { get("reset").click(); section.scrollIntoView(); }
  };
  window.addEventListener("hashchange", reveal);
  const folded = () => document.querySelectorAll("details.printed:not([open])");
  window.addEventListener("beforeprint", () => {
    for (const each of folded()) {
      each.open = true;
      each.dataset.opened = "";
    }
  });
  window.addEventListener("afterprint", () => {
    for (const each of document.querySelectorAll("details[data-opened]")) {
      each.open = false;
      delete each.dataset.opened;
    }
  });
  get("controls").hidden = false;
  theme.parentElement.hidden = false;
  filter();
  reveal();
})();
