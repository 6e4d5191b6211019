"""Cases and what a set of them may not hold."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import ValueRuleError
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, ISIC2019_TO_ISIC2018

THREE = (
    Case("a", Path("a.jpg"), "MEL", lesion_id="l1", age=50.0),
    Case("b", Path("b.jpg"), "NV", lesion_id="l2"),
    Case("c", None, None, lesion_id="l1"),
)


def test_a_set_knows_ids_groups_labels_and_counts() -> None:
    cases = CaseSet(THREE, ISIC2019)
    assert len(cases) == 3
    assert tuple(cases) == THREE
    assert cases.ids == ("a", "b", "c")
    assert cases.groups == ("l1", "l2", "l1")
    np.testing.assert_array_equal(cases.labels, [0, 1, -1])
    assert not cases.labels.flags.writeable
    counts = cases.counts()
    assert list(counts) == list(ISIC2019.codes)
    assert (counts["MEL"], counts["NV"], sum(counts.values())) == (1, 1, 2)


def test_the_group_is_the_lesion_else_the_image() -> None:
    assert Case("i", lesion_id="l").group == "l"
    assert Case("i", patient_id="p").group == "i"


def test_where_take_and_one_per_lesion() -> None:
    cases = CaseSet(THREE, ISIC2019, {"s": frozenset({"MEL"})})
    assert cases.where(lambda c: c.diagnosis is not None).ids == ("a", "b")
    assert cases.take(["c", "a"]).ids == ("c", "a")
    assert cases.take(iter(["b"])).holds == cases.holds
    assert cases.one_per_lesion().ids == ("a", "b")
    with pytest.raises(ValueRuleError, match=r"^no case with image id x, y$"):
        cases.take(["a", "x", "y"])
    with pytest.raises(ValueRuleError, match="image ids stand more than once: a"):
        cases.take(["a", "a"])


def test_an_empty_set_is_allowed() -> None:
    empty = CaseSet((), ISIC2019)
    assert len(empty) == 0
    assert empty.labels.shape == (0,)
    assert empty.one_per_lesion().ids == ()


def test_merging_projects_diagnoses_and_what_sources_hold() -> None:
    made = (Case("a", diagnosis="SCC", source="s"), Case("b", diagnosis="AK", source="s"), Case("c"))
    merged = CaseSet(made, ISIC2019, {"s": frozenset({"AK", "SCC"})}).merged(ISIC2019_TO_ISIC2018)
    assert merged.taxonomy is ISIC2018
    assert [c.diagnosis for c in merged] == ["AKIEC", "AKIEC", None]
    assert merged.holds == {"s": frozenset({"AKIEC"})}


def test_a_merge_map_of_another_taxonomy_is_refused() -> None:
    cases = CaseSet((Case("a", diagnosis="AKIEC"),), ISIC2018)
    with pytest.raises(ValueRuleError, match="a merge map from isic2019 does not fit isic2018"):
        cases.merged(ISIC2019_TO_ISIC2018)


def test_sets_add_up() -> None:
    first = CaseSet((Case("a", source="s"),), ISIC2019, {"s": frozenset({"MEL"})})
    second = CaseSet((Case("b", source="t"),), ISIC2019, {"t": frozenset({"NV"})})
    assert (first + second).ids == ("a", "b")
    assert dict((first + second).holds) == {"s": frozenset({"MEL"}), "t": frozenset({"NV"})}
    with pytest.raises(ValueRuleError, match="cannot join cases of isic2019 and isic2018"):
        first + CaseSet((), ISIC2018)
    with pytest.raises(ValueRuleError, match="image ids stand more than once: a"):
        first + first


def test_what_a_source_holds_in_either_set_it_holds_in_both() -> None:
    first = CaseSet((Case("a", diagnosis="MEL", source="s"),), ISIC2019, {"s": frozenset({"MEL"})})
    second = CaseSet((Case("b", diagnosis="NV", source="s"),), ISIC2019, {"s": frozenset({"NV"})})
    assert (first + second).holds == {"s": frozenset({"MEL", "NV"})}
    free = CaseSet((Case("c", diagnosis="BCC", source="s"),), ISIC2019)
    assert (first + free).holds == {}


@pytest.mark.parametrize(
    ("cases", "holds", "message"),
    [
        ((Case("a"), Case("")), {}, "rows 1 have no image id"),
        ((Case("a"), Case("b"), Case("a")), {}, "image ids stand more than once: a"),
        ((Case("a", diagnosis="AKIEC"),), {}, "not a diagnosis of isic2019: a (AKIEC)"),
        ((Case("a", diagnosis=""),), {}, "not a diagnosis of isic2019: a ()"),
        ((), {"s": frozenset({"X"})}, "not a diagnosis of isic2019: s holds X"),
        (
            (Case("a", diagnosis="BCC", source="s"), Case("b", diagnosis="BCC", source="t")),
            {"s": frozenset({"MEL"})},
            "a source holds a diagnosis that it is said not to hold: a (BCC in s)",
        ),
        (
            (Case("a", age=-1.0), Case("b", age=0.0), Case("c", age=131.0)),
            {},
            "impossible age in years: a (-1.0), c (131.0)",
        ),
        ((Case("a", age=float("nan")),), {}, "impossible age in years: a (nan)"),
        (
            (
                Case("a", lesion_id="l", patient_id="p"),
                Case("b", lesion_id="l"),
                Case("c", lesion_id="l", patient_id="q"),
            ),
            {},
            "lesions that belong to two patients: l",
        ),
    ],
)
def test_rules_name_the_rows(cases: tuple[Case, ...], holds: dict[str, frozenset[str]], message: str) -> None:
    with pytest.raises(ValueRuleError) as caught:
        CaseSet(cases, ISIC2019, holds)
    assert str(caught.value) == message


def test_long_lists_are_cut_short() -> None:
    with pytest.raises(ValueRuleError, match=r"impossible age in years: i0 \(999.0\), .*, i4 \(999.0\) and 7 more$"):
        CaseSet(tuple(Case(f"i{n}", age=999.0) for n in range(12)), ISIC2019)


def test_values_cannot_be_changed() -> None:
    cases = CaseSet(THREE, ISIC2019, {"s": frozenset({"MEL"})})
    with pytest.raises(AttributeError):
        cases.cases = ()  # type: ignore[misc]
    with pytest.raises(TypeError):
        cases.holds["s"] = frozenset()  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        cases.labels[0] = 3


lesions = st.lists(st.sampled_from("pqrst"), max_size=20)


@given(lesions)
def test_one_per_lesion_keeps_every_lesion_once(groups: list[str]) -> None:
    cases = CaseSet(tuple(Case(f"i{n}", lesion_id=g) for n, g in enumerate(groups)), ISIC2019)
    kept = cases.one_per_lesion()
    assert sorted(kept.groups) == sorted(set(groups))
    assert kept.one_per_lesion() == kept
