"""A lesion in the service, from its picture to its histology: the reader speaks first, then the model."""

import sys

from dermoscope.client import Client
from dermoscope.core.errors import ConflictError, ForbiddenError
from dermoscope.data.synthetic import draw

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"

with Client(url, reader="R1") as client:
    try:
        case = client.create_case("EXAMPLE-1", lesion="left forearm", body_site="upper_extremity")["id"]
    except ConflictError as error:  # this example has been run before
        sys.exit(str(error))
    client.add_images(case, [("lesion.jpg", draw(1, "BCC").jpeg())])
    try:
        client.result(case)
    except ForbiddenError as error:
        print("not yet:", error)
    locked = client.lock(case, "low_concern", diagnosis="NV", confidence=0.6)
    answer = client.result(case)
    print("reader:", locked["decision"], "- model:", answer["answer"], "-", answer["reason"])
    print("of 100 such lesions:", answer["of_100"], "- together:", locked["resolved"])
    client.revise(case, "refer", diagnosis="BCC", confidence=0.8)
    print("closed:", client.histology(case, "BCC")["histology"])
    print(client.export("readings.csv").decode())
