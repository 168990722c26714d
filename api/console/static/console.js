"use strict";
// The scripts only refresh and ease what works without them.

const root = document.documentElement;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// The switch of the colours.
{
  const button = document.getElementById("theme");
  const next = { light: "dark", dark: "", "": "light" };
  const signs = { light: "☀\ufe0e", dark: "☾", "": "◐" };
  const show = () => {
    const now = root.dataset.theme || "";
    button.textContent = signs[now];
    button.title = `Colours: ${now || "as the system"}`;
    button.setAttribute("aria-label", button.title);
  };
  button.addEventListener("click", () => {
    const now = next[root.dataset.theme || ""];
    if (now) root.dataset.theme = now; else delete root.dataset.theme;
    try { if (now) localStorage.setItem("theme", now); else localStorage.removeItem("theme"); } catch { /* Not kept. */ }
    show();
  });
  button.hidden = false;
  show();
}

// What a link names is opened.
const openTarget = () => {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) { target.open = true; target.scrollIntoView({ block: "start" }); }
};
addEventListener("hashchange", openTarget);
openTarget();

// Hashes and ids are copied whole.
document.addEventListener("click", async (event) => {
  const node = event.target instanceof Element && event.target.closest("[data-copy]");
  if (!node || !navigator.clipboard) return;
  event.preventDefault();
  try {
    await navigator.clipboard.writeText(node.dataset.copy);
    node.dataset.copied = "";
    setTimeout(() => delete node.dataset.copied, 900);
  } catch { /* Nothing is copied. */ }
});

// Keys: / to filter, j and k through the rows, ? for help.
{
  let at = -1;
  const rows = () => all("[data-row]");
  const go = (step) => {
    const found = rows();
    if (!found.length) return;
    const now = found.indexOf(document.activeElement);
    at = Math.min(Math.max((now < 0 ? at : now) + step, 0), found.length - 1);
    all("tr.at").forEach((row) => row.classList.remove("at"));
    found[at].closest("tr")?.classList.add("at");
    found[at].focus();
    found[at].scrollIntoView({ block: "nearest" });
  };
  const help = document.getElementById("help");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const filter = document.querySelector("[data-filter]");
    if (event.key === "/" && filter) { event.preventDefault(); filter.focus(); filter.select(); }
    else if (event.key === "j") go(1);
    else if (event.key === "k") go(-1);
    else if (event.key === "?" && help && !help.open) help.showModal();
  });
}

// Parts of the page are fetched anew and put in place; what is open, marked or has the focus stays so.
const openedOf = (part) => new Set(all("details[open]", part).map((each) => placeOf(each, part)));
const placeOf = (node, part) => {
  const path = [];
  for (let each = node; each && each !== part; each = each.parentElement) {
    if (each.id) { path.push(`#${each.id}`); break; }
    path.push([...each.parentElement.children].indexOf(each));
  }
  return path.join("/");
};
// Tells whether that went well. A server that is busy, restarts or hangs is asked again: nobody may look at what is old.
const refresh = async () => {
  if (document.hidden) return true;
  try {
    const signal = AbortSignal.timeout(20000);
    const response = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin", signal });
    if (!response.ok || response.redirected) return response.status < 429;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of all("[data-part]")) {
      const other = fresh.getElementById(part.id);
      if (!other || other.innerHTML === part.innerHTML) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement : null;
      if (part.querySelector("details[open] form") || (focused && focused.closest("form"))) continue;
      const opened = openedOf(part), closed = new Set(all("details:not([open])", part).map((each) => placeOf(each, part)));
      const marked = new Set(all("input:checked", part).map((each) => `${each.name}=${each.value}`));
      const href = focused?.getAttribute("href"), id = focused?.id;
      part.replaceChildren(...[...other.childNodes].map((node) => document.importNode(node, true)));
      for (const name of part.getAttributeNames()) if (name.startsWith("data-") && !other.hasAttribute(name)) part.removeAttribute(name);
      for (const each of all("details", part)) {
        const place = placeOf(each, part);
        if (opened.has(place)) each.open = true; else if (closed.has(place)) each.open = false;
      }
      for (const each of all("input", part)) if (marked.has(`${each.name}=${each.value}`)) each.checked = true;
      if (id) document.getElementById(id)?.focus({ preventScroll: true });
      else if (href) all("a", part).find((each) => each.getAttribute("href") === href)?.focus({ preventScroll: true });
    }
    document.dispatchEvent(new CustomEvent("refreshed"));
    return true;
  } catch { return false; }
};

// One at a time, never more than a fifth of it: what takes the server long is asked less often.
let asking = false, again = false;
const soon = async () => {
  again = true;
  if (asking) return;
  asking = true;
  while (again) {
    await new Promise((go) => setTimeout(go, 200));
    again = false;
    const begun = performance.now();
    while (!await refresh()) await new Promise((go) => setTimeout(go, 3000));
    if (again) await new Promise((go) => setTimeout(go, 4 * (performance.now() - begun)));
  }
  asking = false;
};

// Live: told by the stream of events; what is behind it, or has none, is asked again every few seconds.
{
  const live = document.querySelector("[data-live]");
  const polled = document.querySelector("[data-poll]");
  if (live) {
    let polling = 0;
    const source = new EventSource(live.dataset.live);
    const slowly = setInterval(soon, 30000); // What is between may hold back events, or lose them.
    const stop = () => { source.close(); clearInterval(polling); clearInterval(slowly); };
    source.onmessage = soon;
    source.onopen = () => { clearInterval(polling); polling = 0; };
    source.onerror = () => { polling ||= setInterval(soon, 3000); };
    source.addEventListener("end", () => { stop(); soon(); });
    document.addEventListener("refreshed", () => { if (!document.querySelector("[data-live]")) stop(); });
  }
  if (document.querySelector("[data-soon]")) soon(); // Something was not known yet.
  if (polled) {
    setInterval(soon, Number(polled.dataset.poll) * 1000);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden && (live || polled)) soon(); });
}

// Rows that are ticked are counted; one box ticks all that are shown.
{
  const bulk = document.getElementById("bulk");
  const shown = document.getElementById("ticked");
  const boxes = () => all('input[type="checkbox"][form="bulk-form"]');
  const count = () => {
    const ticked = boxes().filter((each) => each.checked).length;
    shown.textContent = ticked ? ` · ${ticked} ticked` : "";
    for (const each of all("#tick-all")) {
      each.checked = ticked > 0 && ticked === boxes().length;
      each.indeterminate = ticked > 0 && ticked < boxes().length;
    }
  };
  const offer = () => {
    const head = document.querySelector("th.tick-box");
    if (!head || head.querySelector("input")) return;
    const every = document.createElement("input");
    every.type = "checkbox";
    every.id = "tick-all";
    every.setAttribute("aria-label", "Tick all that are shown");
    head.replaceChildren(every);
  };
  if (bulk && shown) {
    document.addEventListener("change", (event) => {
      if (event.target.id === "tick-all") for (const each of boxes()) each.checked = event.target.checked;
      if (event.target.matches?.("#tick-all, .tick-box input")) { count(); if (boxes().some((each) => each.checked)) bulk.open = true; }
    });
    document.addEventListener("refreshed", () => { offer(); count(); });
    offer();
    count();
  }
}
