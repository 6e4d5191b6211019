"""Diagnosis codes, their groups, and the projection of one set of codes onto another."""

import copy
import pickle

import numpy as np
import pytest

from dermoscope.core.errors import ValueRuleError
from dermoscope.core.taxonomy import (
    ISIC2018,
    ISIC2019,
    ISIC2019_TO_ISIC2018,
    TAXONOMIES,
    Diagnosis,
    MergeMap,
    Taxonomy,
)

A = Diagnosis("A", "first", "malignant")
B = Diagnosis("B", "second", "benign")


def test_codes_stand_in_the_order_of_the_challenge_files() -> None:
    assert ISIC2019.codes == ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")
    assert ISIC2019.unknown == "UNK"
    assert ISIC2018.codes == ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
    assert ISIC2018.unknown is None
    assert TAXONOMIES == {"isic2018": ISIC2018, "isic2019": ISIC2019}


def test_index_contains_and_length() -> None:
    assert [ISIC2019.index(code) for code in ISIC2019.codes] == list(range(8))
    assert len(ISIC2018) == 7
    assert "SCC" in ISIC2019
    assert "SCC" not in ISIC2018
    assert "UNK" not in ISIC2019
    with pytest.raises(ValueRuleError, match=r"^'scc' is not a diagnosis of isic2018: MEL, NV, .*, VASC$"):
        ISIC2018.index("scc")


def test_groups() -> None:
    malignant = ISIC2019.of_group("malignant")
    assert [c for c, m in zip(ISIC2019.codes, malignant, strict=True) if m] == ["MEL", "BCC", "SCC"]
    both = ISIC2018.of_group("malignant", "premalignant")
    assert [c for c, m in zip(ISIC2018.codes, both, strict=True) if m] == ["MEL", "BCC", "AKIEC"]
    assert not ISIC2018.of_group().any()


@pytest.mark.parametrize("diagnoses", [(), (A,)])
def test_a_taxonomy_needs_two_diagnoses(diagnoses: tuple[Diagnosis, ...]) -> None:
    with pytest.raises(ValueRuleError, match=f"taxonomy 'own' holds {len(diagnoses)} diagnoses; it needs at least two"):
        Taxonomy("own", diagnoses)


def test_a_code_stands_once() -> None:
    with pytest.raises(ValueRuleError, match="taxonomy 'own' names A more than once"):
        Taxonomy("own", (A, B, A))


def test_equality_hash_and_copies() -> None:
    same = Taxonomy("own", (A, B))
    assert same == Taxonomy("own", (A, B))
    assert hash(same) == hash(Taxonomy("own", (A, B)))
    assert same != Taxonomy("own", (B, A))
    assert pickle.loads(pickle.dumps(ISIC2019)) == ISIC2019
    assert copy.deepcopy(ISIC2019).index("SCC") == 7


def test_the_merge_of_isic2019_into_isic2018() -> None:
    matrix = ISIC2019_TO_ISIC2018.matrix
    assert matrix.shape == (8, 7)
    np.testing.assert_array_equal(matrix.sum(axis=1), 1)
    counts = np.arange(1, 9)
    merged = dict(zip(ISIC2018.codes, counts @ matrix, strict=True))
    assert merged == {"MEL": 1, "NV": 2, "BCC": 3, "AKIEC": 4 + 8, "BKL": 5, "DF": 6, "VASC": 7}


def test_a_merge_map_is_whole() -> None:
    own = Taxonomy("own", (A, B))
    with pytest.raises(ValueRuleError) as caught:
        MergeMap(own, ISIC2018, {"A": "melanoma"})
    assert str(caught.value) == ("merge map own -> isic2018: no target for B; targets that do not exist: melanoma")
    with pytest.raises(ValueRuleError, match=r"no target for none; targets that do not exist: X$"):
        MergeMap(own, ISIC2018, {"A": "MEL", "B": "X"})
