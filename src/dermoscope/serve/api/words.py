"""Types of what a request may say, strict enough that what their schema allows is what is taken."""

import datetime
import re
from typing import Annotated, Any

from fastapi import Path
from pydantic import BeforeValidator, Field, WithJsonSchema

_SIGNS = "!-~¡-¬®-ɏΑ-ΡΣ-ώЀ-ҁぁ-ゖァ-ヺ一-鿕"
"""Printable signs of Latin, Greek, Cyrillic, Japanese and Chinese: control characters stop at the door."""
TEXT = rf"^[ {_SIGNS}]*$"
SOME_TEXT = rf"^[ {_SIGNS}]*[{_SIGNS}][ {_SIGNS}]*$"

MOST_NUMBER = 2**31 - 1
"""The highest number of a row that every database holds."""

Number = Annotated[int, Path(ge=1, le=MOST_NUMBER, description="Its number.", examples=[12])]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=SOME_TEXT)]
"""A name of 1 to 80 printable characters."""
ShortName = Annotated[str, Field(min_length=1, max_length=40, pattern=SOME_TEXT)]
MaybeText = Annotated[str, Field(max_length=80, pattern=TEXT)]
Code = Annotated[str, Field(min_length=1, max_length=10, pattern=r"^[A-Za-z0-9_]+$")]
"""A diagnosis of the model's taxonomy, or `other`."""
Share = Annotated[float, Field(ge=0, le=1, strict=True)]


def _day(value: Any) -> Any:
    if value is None:
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("a day is written like 2026-03-31")
    return value


Day = Annotated[
    datetime.date | None,
    BeforeValidator(_day),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}),
]
FormDay = Annotated[datetime.date | None, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
"""The same in a form, where nothing is said by leaving it out."""
