"""Groups of lesion, patient and near-duplicates, and their roles."""

from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.cases import Case
from dermoscope.data.grouping import counts_by_role, group_ids, lacking, split_rows
from dermoscope.data.splits import ROLES, Split, role_of


def test_a_group_of_one_lesion_is_called_by_it() -> None:
    cases = [Case("b", lesion_id="l1"), Case("a", lesion_id="l1"), Case("c")]
    assert group_ids(cases) == ("l1", "l1", "c")
    assert split_rows(cases)["a"] == ("l1", role_of("l1"))


def test_lesions_patients_and_duplicates_are_joined_by_the_smallest_name() -> None:
    cases = [
        Case("x1", lesion_id="l9", patient_id="p"),
        Case("x2", lesion_id="l3", patient_id="p"),
        Case("x3", lesion_id="l3"),
        Case("a"),
        Case("z"),
    ]
    assert group_ids(cases) == ("l3", "l3", "l3", "a", "z")
    assert group_ids(cases, [(2, 3)]) == ("a", "a", "a", "a", "z")


made = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "p", "q", "r"])), min_size=1, max_size=20)


@given(made, st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=5))
def test_nothing_that_belongs_together_gets_two_roles(
    said: list[tuple[str, str]], pairs: list[tuple[int, int]]
) -> None:
    cases = [Case(f"i{n}", lesion_id=lesion, patient_id=patient or None) for n, (lesion, patient) in enumerate(said)]
    joined = [pair for pair in pairs if max(pair) < len(cases)]
    rows = split_rows(cases, joined)
    split = Split(rows, "")
    for key in ("lesion_id", "patient_id"):
        for name in {getattr(c, key) for c in cases} - {None}:
            assert len({split.role(c.image_id) for c in cases if getattr(c, key) == name}) == 1
    assert all(split.role(cases[a].image_id) == split.role(cases[b].image_id) for a, b in joined)


def test_counts_and_what_roles_lack() -> None:
    cases = [Case("a", diagnosis="MEL"), Case("b", diagnosis="NV"), Case("c")]
    counts = counts_by_role(cases, {"a": "test", "b": "training", "c": "test"})
    assert counts["test"] == {"MEL": 1, "NV": 0}
    assert lacking(counts) == ("test: NV", "validation: MEL, NV", "calibration: MEL, NV", "training: MEL")
    assert tuple(counts) == ROLES
