"""The service for programs: `/api/v1`, and what machines ask without a key.

frame        who asks, documented problems          classify    images in, answers out
problems     RFC 9457, for every error              cases       lesions and histology
words        what a text or number may be           images      pictures as stored
schemas      what is taken and given                readings    locked, revised; the answer
files        multipart                              jobs        batches
idempotency  a request that is sent twice           settings    of the site
describe     /openapi.json                          exports     CSV, JSON, PDF
users        the own account, and everybody's       deletion    of cases and patients
keys         by which programs act as a user        about       health, model, kinds of problems
audit        the trail, for admins                  metrics     figures for Prometheus
"""

from fastapi import APIRouter

from dermoscope.serve.api import (
    about,
    audit,
    cases,
    classify,
    deletion,
    exports,
    images,
    jobs,
    keys,
    metrics,
    readings,
    settings,
    users,
)

PREFIX = "/api/v1"
_PARTS = (classify, cases, images, readings, jobs, settings, exports, users, keys, deletion, audit, about)
TAGS = [part.tag for part in _PARTS]

root = about.root
root.include_router(metrics.router)
router = APIRouter(prefix=PREFIX)
for _part in _PARTS:
    router.include_router(_part.router)
