"""Send a batch to the service and wait for it: each picture becomes a case of its own."""

import sys

from dermoscope.client import Client
from dermoscope.data.synthetic import draw

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
files = [(f"{code}.jpg", draw(2, code).jpeg()) for code in ("MEL", "NV", "BKL")]

with Client(url) as client:
    job = client.create_job([*files, ("notes.txt", b"no picture")], title="three and a mistake")
    done = client.wait(job["id"])  # one may go away and come back: the service goes on
    print(f"{done['done']} of {done['total']} done, {done['failed']} failed")
    for item in done["items"]:
        print(item["pseudonym"], item["state"], f"case {item['case']}" if item["case"] else item["problem"])
