"""Ordered diagnosis codes, what they mean, and how one set of codes is projected onto another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from dermoscope.core.errors import ValueRuleError, some

Group = Literal["malignant", "premalignant", "benign"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One diagnosis: its code in the challenge files, its name in words, and its group."""

    code: str
    name: str
    group: Group


@dataclass(frozen=True)
class Taxonomy:
    """An ordered set of diagnoses.

    `unknown` is the code that a truth or submission file may use for "none of these" (`UNK` in ISIC 2019);
    it is not a diagnosis and has no column in `Probabilities`.

    Raises ValueRuleError for fewer than two diagnoses or a code that stands twice.
    """

    name: str
    diagnoses: tuple[Diagnosis, ...]
    unknown: str | None = None
    _index: Mapping[str, int] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        codes = self.codes
        if len(codes) < 2:
            raise ValueRuleError(f"taxonomy {self.name!r} holds {len(codes)} diagnoses; it needs at least two")
        twice = sorted({code for code in codes if codes.count(code) > 1})
        if twice:
            raise ValueRuleError(f"taxonomy {self.name!r} names {some(twice)} more than once")
        object.__setattr__(self, "_index", MappingProxyType({c: i for i, c in enumerate(codes)}))

    def __len__(self) -> int:
        return len(self.diagnoses)

    def __contains__(self, code: object) -> bool:
        return code in self._index

    def __reduce__(self) -> tuple[object, ...]:
        return (Taxonomy, (self.name, self.diagnoses, self.unknown))

    @property
    def codes(self) -> tuple[str, ...]:
        """The diagnosis codes in their order."""
        return tuple(d.code for d in self.diagnoses)

    def index(self, code: str) -> int:
        """Column of a code. Raises ValueRuleError for a code that is not of this taxonomy."""
        try:
            return self._index[code]
        except KeyError:
            raise ValueRuleError(f"{code!r} is not a diagnosis of {self.name}: {some(self.codes, 20)}") from None

    def of_group(self, *groups: Group) -> Bool[np.ndarray, " diagnoses"]:
        """Mask of the diagnoses that belong to one of the groups."""
        return np.array([d.group in groups for d in self.diagnoses])


_MEL = Diagnosis("MEL", "melanoma", "malignant")
_NV = Diagnosis("NV", "melanocytic nevus", "benign")
_BCC = Diagnosis("BCC", "basal cell carcinoma", "malignant")
_AK = Diagnosis("AK", "actinic keratosis", "premalignant")
_AKIEC = Diagnosis("AKIEC", "actinic keratosis or intraepithelial carcinoma", "premalignant")
_BKL = Diagnosis("BKL", "benign keratosis", "benign")
_DF = Diagnosis("DF", "dermatofibroma", "benign")
_VASC = Diagnosis("VASC", "vascular lesion", "benign")
_SCC = Diagnosis("SCC", "squamous cell carcinoma", "malignant")

ISIC2019 = Taxonomy("isic2019", (_MEL, _NV, _BCC, _AK, _BKL, _DF, _VASC, _SCC), unknown="UNK")
"""The eight diagnoses of the ISIC 2019 challenge, in the order of its files."""

ISIC2018 = Taxonomy("isic2018", (_MEL, _NV, _BCC, _AKIEC, _BKL, _DF, _VASC))
"""The seven diagnoses of the ISIC 2018 challenge, Task 3, in the order of its files."""

TAXONOMIES: Mapping[str, Taxonomy] = MappingProxyType({t.name: t for t in (ISIC2018, ISIC2019)})


@dataclass(frozen=True)
class MergeMap:
    """Projection of one taxonomy onto a coarser one: every code of `source` goes to one code of `target`.

    Raises ValueRuleError where a code of `source` has no target or the target does not exist.
    """

    source: Taxonomy
    target: Taxonomy
    codes: Mapping[str, str]

    def __post_init__(self) -> None:
        missing = [c for c in self.source.codes if c not in self.codes]
        unknown = [c for c in self.codes.values() if c not in self.target]
        if missing or unknown:
            raise ValueRuleError(
                f"merge map {self.source.name} -> {self.target.name}: no target for {some(missing) or 'none'}; "
                f"targets that do not exist: {some(unknown) or 'none'}"
            )

    @property
    def matrix(self) -> Float[np.ndarray, "source target"]:
        """0/1 matrix M with `target = source @ M`."""
        out = np.zeros((len(self.source), len(self.target)))
        for code in self.source.codes:
            out[self.source.index(code), self.target.index(self.codes[code])] = 1.0
        return out


ISIC2019_TO_ISIC2018 = MergeMap(
    ISIC2019, ISIC2018, {**{c: c for c in ISIC2018.codes if c != "AKIEC"}, "AK": "AKIEC", "SCC": "AKIEC"}
)
"""AK + SCC -> AKIEC. True of HAM10000, whose SCC are intraepithelial (Bowen's disease); elsewhere an SCC may be
invasive and has no place in ISIC 2018: the caller warns when SCC comes from another source."""
