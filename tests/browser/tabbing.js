// What has the focus: where it is, how it is marked, and what it looks like without the focus.
() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const style = getComputedStyle(node);
  const all = [...document.querySelectorAll("*")];
  const box = node.getBoundingClientRect();
  const name = `<${node.localName}> ${(node.textContent || node.name || "").trim().slice(0, 40)}`;
  return {
    at: all.indexOf(node), name,
    marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1 || style.boxShadow !== "none",
    seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}
