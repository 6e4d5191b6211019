"""Audit a data set: a copy under another diagnosis, a damaged file and a shortcut are planted, found and named."""

import shutil
import tempfile
from pathlib import Path

from dermoscope.data.audit import audit
from dermoscope.data.synthetic import draw
from dermoscope.evaluate.shortcuts import measured

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary) / "lesions"  # a folder for each diagnosis, as in many collections
    for code, quality in (("MEL", 95), ("NV", 70)):  # melanomas saved in better quality: the file tells the diagnosis
        (folder / code).mkdir(parents=True)
        for seed in range(14):
            image = draw(seed, code, (140, 105))
            (folder / code / f"{image.name}.jpg").write_bytes(image.jpeg(quality))
    shutil.copy(folder / "NV" / "SYNTH_NV_0000000.jpg", folder / "MEL" / "copy.jpg")
    (folder / "NV" / "damaged.jpg").write_bytes(b"no image")

    found, tables = audit([str(folder)])
    shortcuts, _ = measured(tables)

for finding in found.of("grave"):
    print(f"grave: {finding.what}. {finding.remedy}")
for shortcut in shortcuts:
    if shortcut.alarming and shortcut.diagnosis == "MEL":
        print(f"shortcut to melanoma, {shortcut.name}: AUC {shortcut.auc.text(2)}")
