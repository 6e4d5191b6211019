// The picture: zoom, pan, choose, compare two dates, heat map. Without this script the strip's links still work.
import Panzoom from "/static/vendor/panzoom.es.js";

const stages = document.getElementById("stages");
const first = document.getElementById("stage");
const views = new Map();

function fit(stage) {
  const picture = stage.querySelector(".picture");
  const plate = stage.querySelector(".plate");
  const margin = stage.clientWidth > 600 ? 24 : 10;
  const scale = Math.min((stage.clientWidth - 2 * margin) / picture.width_, (stage.clientHeight - 2 * margin) / picture.height_);
  const width = Math.round(picture.width_ * scale);
  const height = Math.round(picture.height_ * scale);
  plate.style.width = `${width}px`;
  plate.style.height = `${height}px`;
  const left = Math.round((stage.clientWidth - width) / 2);
  const top = Math.round((stage.clientHeight - height) / 2);
  plate.style.left = `${left}px`;
  plate.style.top = `${top}px`;
  // what is said of a picture stands in its corners, not across its edge
  stage.style.setProperty("--left", `${left}px`);
  stage.style.setProperty("--top", `${top}px`);
  views.get(stage)?.zoom.setOptions({ maxScale: Math.max(4, 4 / scale) });
}

function open(stage, image) {
  const picture = stage.querySelector(".picture");
  picture.width_ = image.width;
  picture.height_ = image.height;
  stage.classList.add("fitted");
  const plate = stage.querySelector(".plate");
  const zoom = Panzoom(plate, { canvas: true, minScale: 1, maxScale: 12, step: 0.25, cursor: "inherit", animate: false });
  stage.addEventListener("wheel", (event) => zoom.zoomWithWheel(event), { passive: false });
  stage.addEventListener("dblclick", (event) => {
    if (zoom.getScale() > 1) zoom.reset(); else zoom.zoomToPoint(3, event);
  });
  stage.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (!step) return;
    event.preventDefault();
    zoom.pan(step[0] / zoom.getScale(), step[1] / zoom.getScale(), { relative: true });
  });
  plate.addEventListener("panzoomchange", (event) => {
    if (!stage.following) follow(stage, event.detail);
  });
  views.set(stage, { zoom, image });
  fit(stage);
}

// Two dates move together.
function follow(leader, { x, y, scale }) {
  for (const [stage, { zoom }] of views) {
    if (stage === leader) continue;
    stage.following = true;
    zoom.zoom(scale);
    zoom.pan(x, y);
    requestAnimationFrame(() => { stage.following = false; });
  }
}

const picks = () => [...document.querySelectorAll(".pick[data-image]")];
const about = (pick) => ({
  id: pick.dataset.image, width: Number(pick.dataset.width), height: Number(pick.dataset.height),
  alt: pick.dataset.alt, day: pick.dataset.day, note: pick.dataset.note, visit: pick.dataset.visit, kind: pick.dataset.kind,
});

function show(stage, image) {
  const picture = stage.querySelector(".picture");
  picture.src = `/images/${image.id}/full`;
  picture.alt = image.alt;
  picture.width_ = image.width;
  picture.height_ = image.height;
  const caption = stage.querySelector(".caption");
  caption.replaceChildren();
  if (image.note) {
    const chip = document.createElement("span");
    chip.className = "chip";
    chip.textContent = image.note;
    caption.append(chip, " ");
  }
  caption.append(image.day);
  views.get(stage).image = image;
  views.get(stage).zoom.reset();
  fit(stage);
  drawHeat();
}

function choose(pick) {
  for (const other of picks()) other.removeAttribute("aria-current");
  pick.setAttribute("aria-current", "true");
  pick.scrollIntoView({ block: "nearest", inline: "nearest" });
  show(first, about(pick));
}

function step(by) {
  const all = picks();
  const at = all.findIndex((one) => one.hasAttribute("aria-current"));
  const next = all[at + by];
  if (next) choose(next);
}

// Compare: the picture of another date (else another picture) stands beside the chosen one.
function compare(button) {
  const second = document.getElementById("second");
  if (second) {
    views.get(second).zoom.destroy();
    views.delete(second);
    second.remove();
    document.body.classList.remove("both");
    button.setAttribute("aria-pressed", "false");
  } else {
    const own = views.get(first).image;
    const others = picks().filter((one) => one.dataset.image !== String(own.id));
    const other = others.find((one) => one.dataset.visit !== own.visit && one.dataset.kind === own.kind)
      ?? others.find((one) => one.dataset.kind === own.kind) ?? others[0];
    const copy = first.cloneNode(true);
    copy.id = "second";
    copy.removeAttribute("aria-describedby");
    copy.querySelector(".caption").removeAttribute("id");
    copy.querySelectorAll(".heat, .heat-title").forEach((one) => one.remove());
    copy.querySelector(".plate").removeAttribute("style");
    stages.append(copy);
    document.body.classList.add("both");
    open(copy, about(other));
    show(copy, about(other));
    button.setAttribute("aria-pressed", "true");
  }
  views.forEach((view, stage) => { view.zoom.reset(); fit(stage); });
}

// The heat map lies over exactly the square that the model saw.
function drawHeat() {
  document.querySelectorAll(".heat, .heat-title").forEach((one) => one.remove());
  const button = document.querySelector('[data-does="heat"]');
  if (!button || button.getAttribute("aria-pressed") !== "true") return;
  for (const [stage, { image }] of views) {
    if (!button.dataset.images.split(" ").includes(String(image.id))) continue;
    const title = document.createElement("span");
    title.className = "heat-title";
    title.textContent = button.dataset.title;
    const heat = document.createElement("img");
    heat.className = "heat";
    heat.alt = button.dataset.title;
    heat.addEventListener("error", () => { heat.remove(); title.textContent = button.dataset.failed; });
    const side = Math.min(image.width, image.height) / Number(button.dataset.zoom || 1);
    heat.style.width = `${100 * side / image.width}%`;
    heat.style.height = `${100 * side / image.height}%`;
    heat.style.left = `${50 * (1 - side / image.width)}%`;
    heat.style.top = `${50 * (1 - side / image.height)}%`;
    heat.src = `/images/${image.id}/heat?diagnosis=${button.dataset.class}`;
    stage.querySelector(".plate").append(heat);
    stage.append(title);
  }
}

const does = {
  in: () => views.get(first).zoom.zoomIn(),
  out: () => views.get(first).zoom.zoomOut(),
  fit: () => views.get(first).zoom.reset(),
  earlier: () => step(-1),
  later: () => step(1),
  compare,
  heat: (button) => {
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    drawHeat();
  },
};

if (first) {
  const current = document.querySelector(".pick[aria-current]");
  open(first, about(current));
  document.addEventListener("click", (event) => {
    const tool = event.target.closest("[data-does]");
    if (tool) does[tool.dataset.does](tool);
    const pick = event.target.closest(".pick[data-image]");
    if (pick && !event.ctrlKey && !event.metaKey) { event.preventDefault(); choose(pick); }
  });
  new ResizeObserver(() => views.forEach((view, stage) => fit(stage))).observe(stages);
}

// "What if": own numbers appear when they are asked for.
document.addEventListener("change", (event) => {
  if (event.target.id === "what-if-setting") document.getElementById("what-if-own").hidden = event.target.value !== "own";
});
document.addEventListener("htmx:afterSwap", () => document.querySelector("#panel [autofocus]")?.focus({ preventScroll: true }));
