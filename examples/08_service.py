"""Ask a running service: start `dermoscope serve --no-login` in another window first, or give its address."""

import sys

from dermoscope.client import Client
from dermoscope.core.errors import InputError
from dermoscope.data.synthetic import draw

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
lesions = [(f"{code}.jpg", draw(1, code).jpeg()) for code in ("MEL", "NV")]  # or paths of your own files

with Client(url) as client:
    print(client.model()["name"], "knows", ", ".join(client.model()["diagnoses"]))
    said = client.classify([*lesions, ("letter.docx", b"no picture")])  # nothing of it is stored
    for result in said["results"]:
        likely = max(result["probabilities"], key=result["probabilities"].get)
        print(f"{result['file']}: {result['answer']}, most probably {likely}: {result['reasons'][0]}")
    for error in said["errors"]:
        print(error["detail"])
    try:
        client.classify([("letter.docx", b"no picture")])
    except InputError as error:
        print("refused:", error)
