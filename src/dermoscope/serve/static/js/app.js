// What every page needs: menus that close, dialogs, single keys.

for (const menu of document.querySelectorAll("details.menu")) {
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { menu.open = false; menu.querySelector("summary").focus(); }
  });
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog")?.close();
});

const TYPING = "input:not([type=checkbox]):not([type=radio]):not([type=range]):not([type=submit]), textarea, select, [contenteditable]";

// An element with data-key="x" is pressed by x: links are followed, fields get the focus, everything else is clicked.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.repeat && event.key.length > 1) return;
  if (event.target.closest?.(TYPING)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]") && event.key !== "?") return;
  const pressed = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const wanted = [...document.querySelectorAll("[data-key]")]
    .find((one) => one.dataset.key.split(" ").includes(pressed) && one.checkVisibility() && !one.disabled);
  if (!wanted) return;
  event.preventDefault();
  if (wanted.matches("select, input[type=text], input[type=search], textarea")) wanted.focus();
  else wanted.click();
});

// An answer that is no part of this page (entered no longer, too busy, broken) is told below and replaces nothing.
const told = document.getElementById("told");
document.addEventListener("htmx:beforeRequest", () => told.replaceChildren());
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (new URL(detail.xhr.responseURL).pathname === "/enter") {
    detail.shouldSwap = false;
    location.assign(detail.xhr.responseURL);
    return;
  }
  const wanted = detail.requestConfig.elt.closest("[hx-select]")?.getAttribute("hx-select");
  const parsed = new DOMParser().parseFromString(detail.xhr.responseText, "text/html");
  if (wanted && !parsed.querySelector(wanted)) {
    Object.assign(detail, { shouldSwap: true, target: told, swapOverride: "innerHTML", selectOverride: "unset" });
  }
});
document.addEventListener("htmx:sendError", () => {
  const problem = document.createElement("p");
  problem.className = "problem";
  problem.textContent = told.dataset.offline;
  told.replaceChildren(problem);
});
