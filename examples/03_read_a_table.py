"""Read a data set and look at what it holds: diagnoses, lesions with several images, and the role of each lesion."""

import tempfile
from collections import Counter
from pathlib import Path

from dermoscope import read_cases
from dermoscope.data.splits import check_apart, with_role
from dermoscope.data.synthetic import write_dataset

with tempfile.TemporaryDirectory() as folder:
    write_dataset(Path(folder) / "lesions", 4, size=(96, 72))  # images and tables as HAM10000 was published
    cases = read_cases(Path(folder) / "lesions")  # a folder of your own works too

print(dict(cases.counts()))
images_of = Counter(case.group for case in cases)
print(f"{len(cases)} images of {len(images_of)} lesions, {sum(n > 1 for n in images_of.values())} with more than one")

roles = {role: with_role(cases, role) for role in ("training", "validation", "calibration", "test")}
check_apart(**roles)  # raises LeakError where one lesion, patient or image stands on two sides
for role, part in roles.items():
    print(f"{role:12} {len(part):3} images")
