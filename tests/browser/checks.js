// What is wrong with a page for somebody who cannot see it well, or at all, or has only a keyboard: a list of sentences.
() => {
  const faults = [];
  const shown = (node) => {
    const box = node.getBoundingClientRect();
    return node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && box.width > 0 && box.height > 0;
  };
  const told = (node) => `<${node.localName}${node.id ? `#${node.id}` : ""}${node.classList.length ? `.${[...node.classList].join(".")}` : ""}> ${(node.textContent || node.outerHTML).trim().slice(0, 60)}`;
  const textOf = (node) => {
    if (node.getAttribute("aria-hidden") === "true") return "";
    if (node.nodeType === 1 && node.getAttribute("aria-label")) return node.getAttribute("aria-label");
    return [...node.childNodes].map((each) => each.nodeType === 3 ? each.data : each.nodeType === 1 ? textOf(each) : "").join("");
  };
  const nameOf = (node) => {
    const by = (node.getAttribute("aria-labelledby") || "").split(" ").filter(Boolean).map((id) => document.getElementById(id)?.textContent || "").join(" ");
    const labels = [...(node.labels || [])].map(textOf).join(" ");
    const titles = [...node.querySelectorAll("title")].map((each) => each.textContent).join(" ");
    return [node.getAttribute("aria-label"), by, labels, node.matches("input, select, textarea") ? "" : textOf(node), titles, node.title, node.alt].find((each) => each && each.trim());
  };

  // Names.
  for (const node of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary"))
    if (shown(node) && !nameOf(node)) faults.push(`no name: ${told(node)}`);
  for (const node of document.querySelectorAll("img, svg"))
    if (shown(node) && !node.closest("[aria-hidden=true]") && !node.getAttribute("role") && !nameOf(node) && !node.closest("svg svg"))
      faults.push(`a picture without title, label or aria-hidden: ${told(node)}`);
  for (const node of document.querySelectorAll("[role=img], [role=progressbar], [role=table], nav, fieldset"))
    if (shown(node) && !nameOf(node)) faults.push(`no name: ${told(node)}`);

  // Order.
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title.trim()) faults.push("no title");
  const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(shown);
  if (headings.filter((each) => each.localName === "h1").length !== 1) faults.push(`not one h1: ${headings.map(told)}`);
  let level = 0;
  for (const each of headings) {
    const its = Number(each.localName[1]);
    if (its > level + 1) faults.push(`a heading of level ${its} after one of level ${level}: ${told(each)}`);
    level = its;
  }
  for (const landmark of ["main", "header"])
    if (document.querySelectorAll(`body > ${landmark}`).length !== 1) faults.push(`not one ${landmark}`);
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  for (const id of new Set(ids.filter((each, at) => ids.indexOf(each) !== at))) faults.push(`twice the id ${id}`);
  for (const node of document.querySelectorAll("th:not([scope])")) faults.push(`th without scope: ${told(node)}`);

  // Room.
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) {
    const wide = [...document.querySelectorAll("main *")].filter((each) => each.getBoundingClientRect().right > width + 1);
    faults.push(`wider than the window, ${document.documentElement.scrollWidth} of ${width}: ${wide.slice(0, 3).map(told)}`);
  }
  for (const node of document.querySelectorAll("p, h1, h2, td, th, dd, dt, li, label, button, code")) {
    if (!shown(node) || node.closest(".lane-name, .said, .scroll, .visually-hidden, thead")) continue;
    if (node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX === "hidden") faults.push(`cut: ${told(node)}`);
  }

  // Colours, by WCAG 2.2 (1.4.3 and 1.4.1).
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (!known.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(colour, [r, g, b, a / 255]);
    }
    return known.get(colour);
  };
  const over = (top, under) => [0, 1, 2].map((at) => top[at] * top[3] + under[at] * (1 - top[3])).concat(1);
  const under = (node) => {
    const layers = [];
    for (let each = node; each; each = each.parentElement) {
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3]) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((each) => each / 255).map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const faint = (node) => {
    let product = 1;
    for (let each = node; each; each = each.parentElement) product *= Number(getComputedStyle(each).opacity);
    return product;
  };
  const judge = (node, colour, ground) => {
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const [r, g, b, a] = rgba(colour);
    const found = contrast(over([r, g, b, a * faint(node)], ground), ground);
    if (found < (large ? 3 : 4.5)) faults.push(`contrast ${found.toFixed(2)}: ${told(node)}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || judged.has(node) || !shown(node) || node.closest(".visually-hidden, option, title")) continue;
    judged.add(node);
    const style = getComputedStyle(node);
    if (node.closest("svg")) {
      const box = node.parentElement?.querySelector(".box");
      judge(node, style.fill, box ? over(rgba(getComputedStyle(box).fill), under(node)) : under(node));
    } else judge(node, style.color, under(node));
  }
  for (const node of document.querySelectorAll("main p a[href], main li a[href], main dd a[href]")) {
    if (!shown(node) || node.classList.contains("button")) continue;
    const around = node.parentElement, style = getComputedStyle(node);
    const alone = around.textContent.trim() === node.textContent.trim();
    const differs = contrast(rgba(style.color), rgba(getComputedStyle(around).color)) >= 3 || style.color !== getComputedStyle(around).color;
    if (!alone && !differs && style.textDecorationLine === "none") faults.push(`a link like the text around it: ${told(node)}`);
  }
  for (const node of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!shown(node) || node.matches("[type=checkbox], [type=radio]")) continue;
    if (contrast(rgba(getComputedStyle(node).borderTopColor), under(node.parentElement)) < 3) faults.push(`a faint border: ${told(node)}`);
  }
  return faults;
}
