"use strict";
// The scripts only refresh and ease what works without them.
(() => {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const next = { light: "dark", dark: "", "": "light" };
  const said = { light: "☀︎", dark: "☾", "": "◐" };
  const show = () => {
    const now = root.dataset.theme || "";
    button.textContent = said[now];
    button.setAttribute("aria-label", `Colours: ${now || "as the system"}`);
    button.title = button.getAttribute("aria-label");
  };
  button.addEventListener("click", () => {
    const now = next[root.dataset.theme || ""];
    if (now) { root.dataset.theme = now; localStorage.setItem("theme", now); }
    else { delete root.dataset.theme; localStorage.removeItem("theme"); }
    show();
  });
  button.hidden = false;
  show();
})();
