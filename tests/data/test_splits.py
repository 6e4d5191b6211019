"""Roles by hash, and the refusal of what stands on two sides."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError, LeakError, TableError, ValueRuleError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.catalog import load
from dermoscope.data.splits import (
    ROLES,
    Split,
    check_apart,
    check_split,
    read_split,
    role_of,
    with_role,
    write_split,
)

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


def split_of(**roles: str) -> Split:
    return Split({image: (f"g-{image}", role) for image, role in roles.items()}, "", "s.csv")  # type: ignore[misc]


def test_a_split_is_written_and_read_back(tmp_path: Path) -> None:
    rows = {"b": ("l1", "test"), "a": ("l1", "test"), "c, d": ("l2", "training")}
    written = write_split(tmp_path / "new" / "s.csv", rows)  # type: ignore[arg-type]
    found = read_split(tmp_path / "new" / "s.csv")
    assert found.rows == rows
    assert list(found.rows) == ["b", "a", "c, d"]
    assert found.sha256 == written.sha256 == sha256((tmp_path / "new" / "s.csv").read_bytes()).hexdigest()
    assert (found.role("a"), found.group("a"), len(found)) == ("test", "l1", 3)
    assert found.counts() == {"test": 2, "validation": 0, "calibration": 0, "training": 1}


@given(
    st.dictionaries(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), st.sampled_from(ROLES))
)
def test_any_split_without_leak_comes_back_from_its_file(roles: dict[str, str]) -> None:
    import tempfile

    rows = {image: (image, role) for image, role in roles.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.csv"
        write_split(path, rows)  # type: ignore[arg-type]
        if rows:
            assert read_split(path).rows == rows
        else:
            with pytest.raises(TableError, match="no rows"):
                read_split(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,role\na,test\n", "columns image, role; a split has image,group,role"),
        ("image,group,role\n,l,test\nb,,test\n", "no image or no group in rows 2, 3; every row needs both"),
        (
            "image,group,role\na,l,train\n",
            "roles that do not exist: a ('train'); the roles are test, validation, calibration, training",
        ),
        (
            "image,group,role\na,l,test\na,l,test\n",
            "images stand in more than one row: a; keep one row of each",
        ),
        ("image,group,role\n", "no rows; it needs a header and a row for every image"),
    ],
)
def test_broken_splits_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(TableError) as caught:
        read_split(path)
    assert str(caught.value) == f"{path}: {message}"


def test_one_group_with_two_roles_is_a_leak(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("image,group,role\na,l1,test\nb,l2,test\nc,l1,training\n")
    with pytest.raises(LeakError) as caught:
        read_split(path)
    assert str(caught.value) == (
        f"{path}: one group has two roles: group l1: a is test, c is training. Give all its images one role"
    )


def test_nothing_is_written_of_a_split_that_leaks(tmp_path: Path) -> None:
    with pytest.raises(LeakError):
        write_split(tmp_path / "s.csv", {"a": ("l", "test"), "b": ("l", "training")})
    assert not list(tmp_path.iterdir())


def test_with_role_takes_the_roles_of_a_split() -> None:
    made = cases(Case("a"), Case("b"), Case("c"))
    split = split_of(a="test", b="training", c="test", more="validation")
    assert with_role(made, "test", split=split).ids == ("a", "c")
    assert with_role(made, "test", "training", split=split).ids == ("a", "b", "c")


def test_cases_that_a_split_does_not_hold_are_refused() -> None:
    made = cases(Case("a"), Case("b"))
    for ask in (
        lambda: with_role(made, "test", split=split_of(a="test")),
        lambda: check_split(made, split_of(a="test")),
    ):
        with pytest.raises(InputError, match=r"^s.csv: no role for 1 of 2 images: b; make the split again"):
            ask()
    with pytest.raises(InputError, match=r"^s.csv: no role for image b; make the split again"):
        split_of(a="test").role("b")


def test_a_split_that_tears_a_lesion_or_a_patient_is_refused() -> None:
    made = cases(
        Case("a", lesion_id="l1", patient_id="p1"),
        Case("b", lesion_id="l1", patient_id="p1"),
        Case("c", lesion_id="l2", patient_id="p1"),
        Case("d"),
    )
    check_split(made, split_of(a="test", b="test", c="test", d="training"))
    with pytest.raises(LeakError, match="patient p1: a is test, c is validation; make the split again"):
        check_split(made, split_of(a="test", b="test", c="validation", d="training"))
    with pytest.raises(
        LeakError, match=r"s.csv tears apart what belongs together: lesion l1: a is test, b is training"
    ):
        check_split(made, split_of(a="test", b="training", c="test", d="training"))


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
