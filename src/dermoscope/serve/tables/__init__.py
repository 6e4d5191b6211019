"""What the service stores. Times are UTC; JSON columns hold what `classify --json` would say or plain lists.

Nothing here names a patient: a pseudonym is what the clinic keeps the key of. Records of what was said or decided
(`Result`, `Reading`, `Event`, `Change`) are written once and never changed.
"""

from dermoscope.serve.tables.base import Table as Table
from dermoscope.serve.tables.base import UtcTime as UtcTime
from dermoscope.serve.tables.base import new_uid as new_uid
from dermoscope.serve.tables.base import now as now
from dermoscope.serve.tables.lesions import Blob as Blob
from dermoscope.serve.tables.lesions import Case as Case
from dermoscope.serve.tables.lesions import Image as Image
from dermoscope.serve.tables.lesions import Opening as Opening
from dermoscope.serve.tables.lesions import Patient as Patient
from dermoscope.serve.tables.lesions import Reading as Reading
from dermoscope.serve.tables.lesions import Result as Result
from dermoscope.serve.tables.people import ApiKey as ApiKey
from dermoscope.serve.tables.people import Attempt as Attempt
from dermoscope.serve.tables.people import Link as Link
from dermoscope.serve.tables.people import Login as Login
from dermoscope.serve.tables.people import User as User
from dermoscope.serve.tables.trail import CaseKey as CaseKey
from dermoscope.serve.tables.trail import Change as Change
from dermoscope.serve.tables.trail import Deletion as Deletion
from dermoscope.serve.tables.trail import Event as Event
from dermoscope.serve.tables.trail import Head as Head
from dermoscope.serve.tables.work import Answered as Answered
from dermoscope.serve.tables.work import Job as Job
from dermoscope.serve.tables.work import JobItem as JobItem
from dermoscope.serve.tables.work import Process as Process
