"""The service for programs: `/api/v1`, and what machines ask without a code.

frame        who asks, documented problems          classify    images in, answers out
problems     RFC 9457, for every error              cases       lesions, images, histology
words        what a text or number may be           readings    locked, revised; the answer
schemas      what is taken and given                jobs        batches
files        multipart                              settings    of the site
idempotency  a request that is sent twice           exports     CSV, JSON, PDF
about        health, model, kinds of problems
"""

from fastapi import APIRouter

from dermoscope.serve.api import about, cases, classify, images, jobs, readings, settings

PREFIX = "/api/v1"
_PARTS = (classify, cases, images, readings, jobs, settings, about)
TAGS = [part.tag for part in _PARTS]

root = about.root
router = APIRouter(prefix=PREFIX)
for _part in _PARTS:
    router.include_router(_part.router)
