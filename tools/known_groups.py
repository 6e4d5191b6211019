"""Lesions of public sets that show one picture under several ids: `python tools/known_groups.py isic2017`.

Looks for near-duplicates as `dermoscope data split` does and rewrites the list that the catalog reads,
`src/dermoscope/data/groups/NAME.csv`: ids only. Needs DERMOSCOPE_DATA with all images of the set.
"""

import csv
import io
import sys
from pathlib import Path

from dermoscope.cli.progress import phases
from dermoscope.data.catalog import load
from dermoscope.data.evidence import look_at
from dermoscope.data.gather import Gathered
from dermoscope.data.grouping import joined_groups
from dermoscope.data.join import image_key

FOLDER = Path(__file__).parents[1] / "src" / "dermoscope" / "data" / "groups"


def known_groups(name: str) -> bytes:
    """The list of a set as CSV: `image`, `group`, by group and image."""
    cases = load(name, joined=False)
    with phases() as progress:
        seen = look_at([Gathered(name, tuple(cases), (), cases.taxonomy)], None, progress)
    found = joined_groups(tuple(cases), seen.duplicates)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("image", "group"))
    writer.writerows(sorted(((image_key(i), image_key(g)) for i, g in found.items()), key=lambda row: (row[1], row[0])))
    return out.getvalue().encode()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        (FOLDER / f"{name}.csv").write_bytes(known_groups(name))
