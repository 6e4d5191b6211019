"""Roles by hash, and the refusal of what stands on two sides."""

import os
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError, LeakError, ValueRuleError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.catalog import load
from dermoscope.data.splits import ROLES, check_apart, role_of, with_role

needs_data = pytest.mark.skipif(
    not os.environ.get("DERMOSCOPE_DATA"), reason="DERMOSCOPE_DATA is not set: no real cases to split"
)


def cases(*made: Case) -> CaseSet:
    return CaseSet(made, ISIC2019)


@pytest.mark.parametrize(
    ("group", "role"),
    [
        ("HAM_0000118", "training"),  # sha256 is a0336763..., as a decimal number it ends in 4
        ("HAM_0002730", "test"),
        ("ISIC_0000000", "test"),
        ("HAM_0000000", "validation"),
        ("HAM_0000001", "calibration"),
    ],
)
def test_roles_are_fixed_for_ever(group: str, role: str) -> None:
    assert role_of(group) == role


@given(st.text(min_size=1))
def test_role_follows_the_last_decimal_digit_of_the_hash(group: str) -> None:
    digit = int(str(int(sha256(group.encode()).hexdigest(), 16))[-1])
    expected = "test" if digit < 2 else "validation" if digit == 2 else "calibration" if digit == 3 else "training"
    assert role_of(group) == expected


def test_an_empty_group_has_no_role() -> None:
    with pytest.raises(ValueRuleError, match="empty group id has no role; give the lesion id"):
        role_of("")


def test_with_role_goes_by_lesion_and_keeps_the_order() -> None:
    made = cases(*(Case(f"i{n}", lesion_id=f"l{n // 3}") for n in range(300)))
    parts = [with_role(made, role) for role in ROLES]
    assert sum(map(len, parts)) == 300
    check_apart(**dict(zip(ROLES, parts, strict=True)))
    for part in parts:
        assert list(part.ids) == sorted(part.ids, key=lambda i: int(i[1:]))
    both = with_role(made, "training", "validation")
    assert len(both) == len(parts[1]) + len(parts[3])


def test_an_image_without_lesion_is_its_own_group() -> None:
    made = cases(Case("HAM_0002730"), Case("other", lesion_id="HAM_0002730"))
    assert with_role(made, "test").ids == ("HAM_0002730", "other")


@pytest.mark.parametrize(("roles", "match"), [(("train",), "no role train; the roles are test"), ((), "no role given")])
def test_unknown_roles(roles: tuple[str, ...], match: str) -> None:
    with pytest.raises(InputError, match=match):
        with_role(cases(Case("a")), *roles)  # type: ignore[arg-type]


def test_leaks_are_named() -> None:
    training = cases(Case("a", lesion_id="l1", patient_id="p1"), Case("b", lesion_id="l2"), Case("x"))
    test = cases(Case("c", lesion_id="l1"), Case("d", lesion_id="l3", patient_id="p1"), Case("x", lesion_id="l9"))
    with pytest.raises(LeakError) as caught:
        check_apart(training=training, test=test, empty=cases())
    assert str(caught.value) == (
        "training and test share 1 lesion(s): l1; training and test share 1 patient(s): p1; "
        "training and test share 1 image(s): x. Put all images of a lesion and of a patient on one side"
    )


def test_sets_that_are_apart_pass() -> None:
    check_apart(training=cases(Case("a", lesion_id="l1")), test=cases(Case("b", lesion_id="l2")), more=cases(Case("c")))


@needs_data
def test_the_split_of_ham10000_is_the_one_of_the_design() -> None:
    ham = load("ham10000")
    parts = {role: with_role(ham, role) for role in ROLES}
    lesions = {role: len(part.one_per_lesion()) for role, part in parts.items()}
    assert lesions == {"test": 1472, "validation": 774, "calibration": 802, "training": 4422}
    assert len(parts["test"]) == 1976
    headline = parts["test"].where(lambda c: c.path is not None and "ham10000-224" in c.path.parts).one_per_lesion()
    assert len(headline) == 1189
    check_apart(**parts)
