"""HAM10000 as a study: counts by hand on a small table, who is trained on, and a short form on drawn lesions."""

import io
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import InputError
from dermoscope.core.estimate import wilson
from dermoscope.core.study import Measured, Row
from dermoscope.core.taxonomy import ISIC2018
from dermoscope.core.truth import Truth
from dermoscope.data.catalog import load
from dermoscope.data.readers import read_cases
from dermoscope.data.splits import role_of
from dermoscope.studies import tschandl2018 as study
from dermoscope.studies import tschandl2018_facts as facts
from dermoscope.studies import tschandl2018_sources as sources
from dermoscope.studies.base import Asked, Context, Plan
from dermoscope.studies.results import run_study

TABLE = """lesion_id,image_id,dx,dx_type,age,sex,localization,dataset
L1,a,mel,histo,40,male,back,one
L1,b,mel,histo,40,male,back,two
L2,c,nv,follow_up,30,female,face,one
L3,d,nv,histo,,female,,one
L4,e,bkl,consensus,65,,back,two
L5,f,akiec,histo,70,male,back,two
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of five lesions of two sources; b is a's picture, and so is f's, of another lesion."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "HAM10000_metadata.csv").write_text(TABLE)
    rng = np.random.default_rng(0)
    first = None
    for name in "abcdef":
        pixels = cv2.resize(rng.integers(0, 255, (9, 12, 3), np.uint8), (200, 150), interpolation=cv2.INTER_CUBIC)
        first = pixels if first is None else first
        Image.fromarray(first if name in "bf" else pixels).save(folder / f"{name}.png")
    return folder


def measured(rows: list[Row], name: str) -> dict[str, Measured]:
    row = next(row for row in rows if row.name == name)
    return {m.metric: m for m in row.measured if not m.against}


def test_counts_of_a_small_table(small: Path) -> None:
    rows = facts.table_rows(study.seven(read_cases(small)), {}, "re-measured", "six images")
    assert {row.type for row in rows} == {"re-measured"}
    found = {name: {k: m.estimate.value for k, m in measured(rows, name).items()} for name in (r.name for r in rows)}
    assert found["counts"]["images"] == 6
    assert {k: v for k, v in found["counts"].items() if v} == {
        "images": 6, "images of MEL": 2, "images of NV": 2, "images of AKIEC": 1, "images of BKL": 1
    }  # fmt: skip
    assert found["sources"] == {
        "sources": 2, "images of one": 3, "images of two": 3, "lesions of one": 3, "lesions of two": 2
    }  # fmt: skip
    lesions = found["lesions"]
    assert [lesions[k] for k in ("lesions", "of 1 image", "of 2 images")] == [5, 4, 1]
    assert lesions["of several sources"] == 1
    assert [found["several"][f"of {what}"] for what in ("all lesions", "MEL", "NV")] == [1 / 5, 1, 0]
    assert found["ways"] == {
        "MEL by histo": 2, "NV by histo": 1, "NV by follow_up": 1, "AKIEC by histo": 1, "BKL by consensus": 1
    }  # fmt: skip
    people = found["people"]
    assert people["mean age"] == pytest.approx((40 + 30 + 65 + 70) / 4)
    assert people["women"] == pytest.approx(2 / 4)
    assert people["site back"] == pytest.approx(3 / 4)
    assert [people[f"without {what}"] for what in ("age", "sex", "site")] == [1, 1, 1]


def test_shares_are_of_lesions_with_their_intervals(small: Path) -> None:
    rows = facts.table_rows(study.seven(read_cases(small)), {}, "re-measured", "six images")
    confirmed = measured(rows, "confirmed")
    of_lesions = confirmed["confirmed by histology"].estimate
    assert (of_lesions.value, of_lesions.unit, of_lesions.n) == (3 / 5, "lesion", 5)
    assert (of_lesions.low, of_lesions.high) == wilson(3, 5)
    of_images = confirmed["of images"].estimate
    assert of_images.value == pytest.approx(4 / 6)
    assert of_images.n == 5
    assert (of_images.high or 0) - (of_images.low or 0) > wilson(4, 6)[1] - wilson(4, 6)[0]
    assert confirmed["of NV"].estimate.value == 1 / 2
    assert confirmed["of two"].estimate.value == 1 / 2


def test_files_and_near_duplicates(small: Path, tmp_path: Path) -> None:
    cases = read_cases(small)
    context = Context(Asked(), Plan({}, {}), tmp_path, tmp_path)
    rows = facts.file_rows(context, cases, "six images")
    row = next(row for row in rows if row.name == "files")
    files = {(m.bundle, m.metric): m.estimate.value for m in row.measured}
    assert files["counted", "files of 200 x 150 px"] == 6
    assert files["counted", "with a sharper copy"] == 0
    for copy in ("sharpest copies", "whole fields"):
        for what in ("near-duplicate groups", "of several lesion ids", "of several sources"):
            assert files[copy, what] == 1
    assert "a = b = f" in row.note


def test_whole_fields_are_compared_besides_the_sharper_copies(small: Path, tmp_path: Path) -> None:
    cases = CaseSet(
        tuple(
            Case(f"i{k}", small / f"{sharp}.png", code, f"L{k}", source="one", copies=(small / f"{whole}.png",))
            for k, (sharp, whole, code) in enumerate((("c", "a", "NV"), ("d", "b", "MEL")))
        ),
        ISIC2018,
    )
    held = facts._looked_at(Context(Asked(), Plan({}, {}), tmp_path, tmp_path), cases)
    row = facts._files(cases, held, "two images")
    files = {(m.bundle, m.metric): m.estimate.value for m in row.measured}
    assert files["counted", "with a sharper copy"] == 2
    assert files["sharpest copies", "near-duplicate groups"] == 0
    assert files["whole fields", "of several lesion ids"] == 1
    assert "i0 = i1" in row.note


def invented(**counts: int) -> CaseSet:
    """Lesions of a diagnosis and a source: `MEL_one=3`."""
    named = [(key.split("_"), k) for key, n in counts.items() for k in range(n)]
    return CaseSet(
        tuple(Case(f"{c}{s}{k}", diagnosis=c, lesion_id=f"L{c}{s}{k}", source=s) for (c, s), k in named), ISIC2018
    )


class Stub(sources.Lab):
    """Heads that know a diagnosis by its label with some noise, so that nothing is fitted."""

    def logits(self, source: str, way: str) -> dict[str, np.ndarray]:
        labels = self.cases.labels[self.inside(source)]
        noise = np.random.default_rng(len(way)).normal(size=(2, len(labels), len(self.cases.taxonomy)))
        return {"logits": noise + 2 * np.eye(len(self.cases.taxonomy))[labels], "shown": np.full(7, 1 / 7)}


def laboratory(tmp_path: Path, cases: CaseSet) -> Stub:
    return Stub(Context(Asked(), Plan({}, {}), tmp_path, tmp_path), None, cases, np.zeros((len(cases), 1)))


def test_a_diagnosis_is_scored_from_twenty_lesions_on(tmp_path: Path) -> None:
    cases = invented(MEL_one=20, NV_one=25, BKL_one=19, MEL_two=30, NV_two=3, BKL_two=30)
    lab = laboratory(tmp_path, cases)
    place = sources.Place.of(lab, "one")
    assert place.codes == ("MEL", "NV")
    assert {k: n for k, n in place.trained.items() if n} == {"MEL": 30, "NV": 3, "BKL": 30}
    one, two = ({m.metric: m for m in row.measured if not m.against and m.bundle == sources.LEFT_OUT}
                for row in sorted(sources.gap_rows(lab), key=lambda row: row.name))  # fmt: skip
    assert "balanced accuracy, 2 diagnoses" in one
    assert one["AUC MEL"].estimate.n == 45
    assert one["AUC BKL"].estimate.value is None
    assert one["AUC BKL"].estimate.method == "not measurable: fewer than 20 lesions of it in the source"
    assert two["AUC NV"].estimate.value is None
    assert two["AUC BKL"].estimate.value is not None


def test_one_diagnosis_alone_cannot_be_scored(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, invented(MEL_one=20, NV_one=19, MEL_two=30, NV_two=30))
    row = next(row for row in sources.gap_rows(lab) if row.name == "left out: one")
    assert all(m.estimate.value is None for m in row.measured)
    assert {m.metric: m.estimate.method for m in row.measured}["AUC MEL"] == (
        "not measurable: no second diagnosis of 20 lesions in the source"
    )
    assert [row.name for row in sources.prior_rows(lab)] == ["prior: two"]


def test_the_prior_alone_changes_accuracy(tmp_path: Path) -> None:
    lab = laboratory(tmp_path, invented(MEL_one=20, NV_one=380, BKL_one=9, MEL_two=300, NV_two=100))
    row = next(row for row in sources.prior_rows(lab) if row.name == "prior: one")
    accuracy = {m.bundle: m.estimate for m in row.measured if m.metric == "accuracy" and not m.against}
    assert accuracy["always NV"].value == 0.95
    of_source, of_training = accuracy["prior of the source"], accuracy["prior of its training"]
    assert (of_source.value or 0) > (of_training.value or 0) + 0.1
    assert of_source.method == "bootstrap, unstratified"
    assert (of_source.low or 0) <= (of_source.value or 0) <= (of_source.high or 0)
    [gain] = [m for m in row.measured if m.metric == "accuracy" and m.bundle == "prior of the source" and m.against]
    assert gain.estimate.value == pytest.approx((of_source.value or 0) - (of_training.value or 0))
    assert gain.against == "prior of its training"
    assert gain.p_holm is not None


def test_as_many_of_every_diagnosis_are_drawn() -> None:
    labels = np.array([0] * 10 + [1] * 6 + [2] * 4)
    pool = np.setdiff1d(np.arange(20), [0, 10, 16])
    rows = sources.drawn_like(labels, pool, [3, 5, 0], np.random.default_rng(0))
    assert Counter(labels[rows].tolist()) == {0: 3, 1: 5}
    assert set(rows.tolist()) <= set(pool.tolist())
    assert len(set(rows.tolist())) == 8
    again = sources.drawn_like(labels, pool, [3, 5, 0], np.random.default_rng(1))
    assert rows.tolist() != again.tolist()


def test_no_head_sees_what_it_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = invented(MEL_one=12, NV_one=9, BCC_one=3, MEL_two=8, NV_two=20, BCC_two=5)
    lab = sources.Lab(
        Context(Asked(), Plan({}, {}), tmp_path, tmp_path), None, cases, np.zeros((len(cases), 1), np.float32)
    )
    seen: list[tuple[set[int], set[int]]] = []

    def predicted(_: sources.Lab, rows: np.ndarray, asked: np.ndarray, _seed: int) -> tuple[np.ndarray, np.ndarray]:
        seen.append((set(rows.tolist()), set(asked.tolist())))
        return np.zeros((len(asked), 7)), np.full(7, 1 / 7)

    monkeypatch.setattr(sources.Lab, "_predicted", predicted)
    inside = set(np.flatnonzero(lab.inside("one")).tolist())
    lab.logits("one", sources.LEFT_OUT)
    assert all(not rows & inside and asked == inside for rows, asked in seen)
    seen.clear()
    lab.logits("one", sources.EVERY)
    assert len(seen) == sources.SEEDS * sources.FOLDS
    for rows, asked in seen:
        assert not rows & asked
        assert rows & inside
        assert Counter(cases.labels[sorted(rows)].tolist()) == {0: 8, 1: 20, 2: 5}
    assert set.union(*(asked for _, asked in seen)) == inside


def test_the_mean_of_hits_is_resampled_by_lesion() -> None:
    truth = Truth.from_cases(invented(MEL_one=50, NV_one=50))
    found = sources.mean_of("accuracy", np.r_[np.ones(50), np.zeros(50)], truth).estimate("accuracy")
    assert (found.value, found.n, found.unit) == (0.5, 100, "lesion")
    low, high = wilson(50, 100)
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)


def test_heads_see_training_and_validation_only(lesions: Path) -> None:
    whole = read_cases(lesions)
    cases = study.for_heads(whole)
    assert {role_of(c.group) for c in cases} == {"training", "validation"}
    assert len(set(cases.groups)) == len(cases)
    assert {role_of(c.group) for c in whole} == {"training", "validation", "calibration", "test"}


def test_data_of_one_source_is_refused(small: Path, tmp_path: Path) -> None:
    for name in "cd":
        (tmp_path / f"{name}.png").write_bytes((small / f"{name}.png").read_bytes())
    (tmp_path / "HAM10000_metadata.csv").write_text(
        "\n".join(line for line in TABLE.splitlines() if line.startswith(("lesion_id", "L2", "L3")))
    )
    with pytest.raises(InputError, match=r"sources that are named: 1, diagnoses: 1"):
        study.plan(Asked(str(tmp_path)))
    with pytest.raises(InputError, match="--full changes nothing"):
        study.plan(Asked(str(small), full=True))


def test_the_short_form(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="torch is not installed: no head can be trained")
    for name, value in {"SEEDS": 2, "FOLDS": 2, "LEAST": 8, "RESAMPLES": 40}.items():
        monkeypatch.setattr(sources, name, value)
    rows = run_study(study.STUDY, asked).rows
    assert [row.name for row in rows] == [
        "counts", "confirmed", "ways", "lesions", "several", "sources", "people", "files", "shortcuts", "heads",
        "left out: synthetic_a", "left out: synthetic_b", "prior: synthetic_a", "prior: synthetic_b",
    ]  # fmt: skip
    assert all(row.type != "reproduced" and not row.claims for row in rows)
    gaps = [m for row in rows if row.name.startswith("left out") for m in row.measured]
    paired = [m for m in gaps if m.against]
    assert paired
    assert all(m.p_holm is not None and m.p_holm >= (m.p_value or 0) for m in paired)
    by = {(m.metric, m.split, m.bundle): m.estimate.value for m in gaps if not m.against}
    for m in paired:
        left, every = (by[m.metric, m.split, way] for way in (sources.LEFT_OUT, sources.EVERY))
        assert m.estimate.value == pytest.approx((left or 0) - (every or 0))
    made = study.plots(rows)
    assert [plot.name for plot in made] == ["shortcuts", "sources", "priors"]
    assert made[0].series == facts.PREDICTORS
    assert made[1].series == ("synthetic_a", "synthetic_b")
    assert study.plots(()) == ()


def test_the_sheet_shows_every_diagnosis_at_every_source(asked: Asked) -> None:
    with Image.open(io.BytesIO(study.sheet(asked))) as sheet:
        assert sheet.width > 4 * 160
        assert sheet.height > 7 * 160
    few = replace(asked, data="nowhere")
    with pytest.raises(InputError, match="nowhere"):
        study.sheet(few)


@pytest.mark.skipif(
    "DERMOSCOPE_DATA" not in os.environ, reason="DERMOSCOPE_DATA is not set: the real images are needed"
)
def test_ham10000_has_the_published_counts() -> None:
    cases = load("ham10000")
    merged = study.seven(cases)
    words = {c.image_id: (c.diagnosis_original or "").upper() for c in cases}
    assert all(words[c.image_id] == c.diagnosis for c in merged)
    rows = facts.table_rows(merged, study.CLAIMS, "reproduced", "all of it")
    for row in rows:
        for claim, found, difference in row.differences:
            if row.name == "confirmed":
                assert found.estimate.value == pytest.approx(3085 / 7470)
            else:
                assert difference == 0, claim
    assert sum(len(row.differences) for row in rows) == len(study.STUDY.claims)
