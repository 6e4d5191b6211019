// Pictures for a case: dropped, chosen or pasted. They stand in the form's own file field, so nothing is sent twice.
const field = document.getElementById("files");
const drop = document.getElementById("drop");
const list = document.getElementById("previews");
const template = document.getElementById("preview");
let held = [];

function write() {
  const files = new DataTransfer();
  for (const one of held) files.items.add(one.file);
  field.files = files.files;
  drop.classList.toggle("filled", held.length > 0);
}

function add(files) {
  for (const file of files) {
    if (held.length >= Number(field.dataset.most)) break;
    const row = template.content.firstElementChild.cloneNode(true);
    const picture = row.querySelector("img");
    picture.src = URL.createObjectURL(file);
    picture.alt = file.name;
    picture.addEventListener("error", () => { picture.hidden = true; row.querySelector(".none").hidden = false; });
    row.querySelector(".name").textContent = file.name;
    const one = { file, row };
    row.querySelector(".remove").addEventListener("click", () => {
      URL.revokeObjectURL(picture.src);
      held = held.filter((other) => other !== one);
      row.remove();
      write();
      field.focus();
    });
    held.push(one);
    list.append(row);
  }
  write();
}

field.addEventListener("change", () => add([...field.files]));
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  if (files.length) { event.preventDefault(); add(files); }
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  add([...event.dataTransfer.files]);
});
