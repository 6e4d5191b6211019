// A batch before it is sent: how many files, too many, dropped ones; then how much of it is sent.

const form = document.getElementById("batch");
const files = document.getElementById("files");
const chosen = document.getElementById("chosen");
const begin = chosen.textContent;
const sending = form.querySelector(".sending");
const said = (template, values) => template.replace(/\{(\w+)\}/g, (_, name) => values[name]);

function count() {
  const n = files.files.length, most = Number(form.dataset.most);
  const size = ([...files.files].reduce((sum, file) => sum + file.size, 0) / 1e6).toFixed(1);
  const values = { n, size, over: n - most };
  const over = n > most;
  chosen.textContent = n ? said(over ? chosen.dataset.many : chosen.dataset.text, values) : begin;
  chosen.classList.toggle("too-many", over);
  files.setCustomValidity(over ? chosen.textContent : "");
}
files.addEventListener("change", count);

const drop = form.querySelector("[data-drop]");
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      files.files = event.dataTransfer.files;
      count();
    }
  });
}
// a picture dropped beside the field would open in place of this page
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());

const unsent = document.getElementById("unsent");
form.addEventListener("htmx:beforeRequest", () => { unsent.hidden = true; sending.hidden = false; });
form.addEventListener("htmx:afterRequest", (event) => { if (!event.detail.successful) sending.hidden = true; });
form.addEventListener("htmx:sendError", () => { unsent.hidden = false; sending.hidden = true; });
form.addEventListener("htmx:xhr:progress", (event) => {
  const { loaded, total } = event.detail;
  if (!total) return;
  const percent = Math.floor(100 * loaded / total);
  sending.querySelector("progress").value = percent;
  const text = sending.querySelector("p");
  text.textContent = said(text.dataset.text, { percent });
});
