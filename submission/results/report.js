// "3b0/111" is two rows: run lengths are letters, a = 3.
const rows = text =>
  text.replace(/(\d)([a-z])/g, (_, digit, run) => digit.repeat(run.charCodeAt(0) - 94)).split("/");
const ratio = Math.max(1, window.devicePixelRatio || 1);
const canvases = document.querySelectorAll("canvas");

function measure(canvas) {
  const cells = rows(canvas.dataset.g), high = cells.length, wide = cells[0].length;
  const small = canvas.className === "small", most = small ? 104 : 184, largest = small ? 12 : 26;
  const side = Math.max(1, Math.floor(Math.min(most / Math.max(high, wide), largest) * ratio));
  const line = side > 4 ? Math.max(1, Math.floor(side / 24)) : 0;
  canvas.width = wide * side + line;
  canvas.height = high * side + line;
  canvas.style.width = canvas.width / ratio + "px";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `grid of ${high} rows and ${wide} columns`);
  return { cells, side, line };
}

function paint(canvas) {
  const { cells, side, line } = measure(canvas), pen = canvas.getContext("2d");
  pen.fillStyle = "#555";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  cells.forEach((row, r) => [...row].forEach((cell, c) => {
    pen.fillStyle = palette[cell];
    pen.fillRect(c * side + line, r * side + line, side - line, side - line);
  }));
}

const watch = new IntersectionObserver(seen => seen.forEach(each => {
  if (each.isIntersecting) { paint(each.target); watch.unobserve(each.target); }
}), { rootMargin: "600px" });
canvases.forEach(canvas => { measure(canvas); watch.observe(canvas); });
addEventListener("beforeprint", () => canvases.forEach(paint));

const buttons = document.querySelectorAll("[data-show]");
function show(tag) {
  let some = false;
  buttons.forEach(each => each.setAttribute("aria-pressed", each.dataset.show === tag));
  document.querySelectorAll("[data-is]").forEach(each => {
    const off = !each.dataset.is.split(" ").includes(tag);
    each.classList.toggle("off", off);
    if (each.tagName === "SECTION") some ||= !off;
  });
  document.querySelector(".nothing").hidden = some;
}
buttons.forEach(each => each.addEventListener("click", () => show(each.dataset.show)));
// A square of the map leads to its task even when the filter hides it.
document.querySelectorAll(".map a").forEach(each =>
  each.addEventListener("click", () => { if (each.classList.contains("off")) show("all"); }));
