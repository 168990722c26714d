// Before anything is painted, so that a page does not flash in the wrong colours.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* No storage: the colours are the system's. */ }
