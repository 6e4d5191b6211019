"""Deleting for good, by admins."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from dermoscope.serve import erase
from dermoscope.serve.api.frame import routes
from dermoscope.serve.api.problems import documented
from dermoscope.serve.api.schemas import shown
from dermoscope.serve.api.words import TEXT, Number
from dermoscope.serve.depends import AdminAsking, Serving

router, tag = routes("deletion", "Deleting for good: pictures, answers, readings and the free pages of the database.")
Reason = Annotated[
    str, Query(max_length=erase.LONGEST, pattern=TEXT, description="Why; stands in the audit trail, and names nobody.")
]


class DeletedOut(BaseModel):
    """What went."""

    model_config = shown({"cases": [12], "patients": 1, "images": 2, "files": 2, "pages_overwritten": True})

    cases: list[int] = Field(description="Numbers of the cases.")
    patients: int = Field(description="Patients of whom no case is left; their pseudonyms went too.")
    images: int
    files: int = Field(description="Pictures that no other case has.")
    pages_overwritten: bool = Field(
        description="Whether the free pages of the database are overwritten already; else within the hour."
    )

    @classmethod
    def of(cls, erased: erase.Erased) -> "DeletedOut":
        """What went, as the API tells it."""
        return cls(
            cases=list(erased.cases),
            patients=erased.patients,
            images=erased.images,
            files=erased.files,
            pages_overwritten=erased.scrubbed,
        )


@router.delete("/cases/{case_id}", response_model=DeletedOut, responses=documented(404))
def delete_case(service: Serving, person: AdminAsking, case_id: Number, reason: Reason = "") -> DeletedOut:
    """Delete a case with everything of it. Nobody can take that back; a backup that is restored deletes it again."""
    return DeletedOut.of(erase.case(service, person, case_id, reason))


@router.delete("/patients/{patient_id}", response_model=DeletedOut, responses=documented(404, 409))
def delete_patient(service: Serving, person: AdminAsking, patient_id: Number, reason: Reason = "") -> DeletedOut:
    """Delete all cases of a patient, and the pseudonym. A case tells the number of its patient."""
    return DeletedOut.of(erase.patient(service, person, patient_id, reason))
