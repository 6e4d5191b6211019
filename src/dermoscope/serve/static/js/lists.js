// Lists by keyboard: j and k go from one to the next, Enter opens it (it is a link); filters apply as they are chosen.

const TYPING = "input:not([type=checkbox]):not([type=radio]), textarea, select";

document.addEventListener("keydown", (event) => {
  const step = { j: 1, k: -1 }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(TYPING)) return;
  if (document.querySelector("dialog[open]")) return;
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1);
  rows[next].focus();
  rows[next].scrollIntoView({ block: "nearest" });
  event.preventDefault();
});

for (const form of document.querySelectorAll("[data-autosubmit]")) {
  form.querySelector("button").hidden = true;
  form.addEventListener("change", (event) => { if (event.target.matches("select")) form.requestSubmit(); });
  // an address without the fields that were left open is one that can be read and sent to somebody
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
  });
}

// on a phone the tabs are wider than the screen: the one that is open is brought into it
for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  tab.parentElement.scrollLeft = tab.offsetLeft - (tab.parentElement.clientWidth - tab.offsetWidth) / 2;
}
