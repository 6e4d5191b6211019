"""Published layouts, written small: what is recognised, how it is joined, and every refusal."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermoscope.core.errors import InputError, TableError
from dermoscope.core.taxonomy import ISIC2018, ISIC2019, Diagnosis, Taxonomy
from dermoscope.data.readers import read_cases

HAM = """lesion_id,image_id,dx,dx_type,age,sex,localization,dataset
HAM_1,ISIC_0024306,nv,follow_up,45.0,male,back,vidir_molemax
HAM_1,ISIC_0024307,nv,follow_up,45.0,male,back,vidir_molemax
HAM_2,ISIC_0024308,akiec,histo,,unknown,unknown,rosendahl
HAM_3,ISIC_0024309,akiec,histo,80,female,face,rosendahl
"""
TRUTH_2019 = """image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK
ISIC_0024306,0,1,0,0,0,0,0,0,0
ISIC_0024307_downsampled,0,1,0,0,0,0,0,0,0
ISIC_0024308,0,0,0,1,0,0,0,0,0
ISIC_0024309,0,0,0,0,0,0,0,1,0
"""
METADATA_2019 = """image,age_approx,anatom_site_general,lesion_id,sex
ISIC_0024306,45.0,posterior torso,HAM_1,male
ISIC_0024307_downsampled,45.0,posterior torso,HAM_1,male
ISIC_0024308,,,,
ISIC_0024309,80.0,head/neck,HAM_3,female
"""
TRUTH_2018 = """image,MEL,NV,BCC,AKIEC,BKL,DF,VASC
ISIC_0024306,0.0,1.0,0.0,0.0,0.0,0.0,0.0
ISIC_0024308,0.0,0.0,0.0,1.0,0.0,0.0,0.0
"""
STEMS = ("ISIC_0024306", "ISIC_0024307", "ISIC_0024308", "ISIC_0024309")


def picture(path: Path, size: tuple[int, int] = (32, 24)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = np.random.default_rng(size[0]).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(shade).save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def ham(tmp_path: Path) -> Path:
    """HAM10000 as Dataverse gives it: two image folders, the table, and the lesion masks."""
    write(tmp_path / "HAM10000_metadata.csv", HAM)
    for number, stem in enumerate(STEMS):
        picture(tmp_path / f"HAM10000_images_part_{1 + number // 2}/{stem}.jpg")
        picture(tmp_path / f"HAM10000_segmentations_lesion_tschandl/{stem}_segmentation.png")
    return tmp_path


@pytest.fixture
def challenge(tmp_path: Path) -> Path:
    """ISIC 2019 as the challenge gives it: an image folder and two tables."""
    write(tmp_path / "ISIC_2019_Training_GroundTruth.csv", TRUTH_2019)
    write(tmp_path / "ISIC_2019_Training_Metadata.csv", METADATA_2019)
    for stem in (STEMS[0], f"{STEMS[1]}_downsampled", STEMS[2], STEMS[3]):
        picture(tmp_path / f"ISIC_2019_Training_Input/{stem}.jpg")
    return tmp_path


# --------------------------------------------------------------------------------------------------------- HAM10000


def test_ham10000_alone_has_seven_classes(ham: Path) -> None:
    cases = read_cases(ham)
    assert cases.taxonomy is ISIC2018
    assert cases.ids == STEMS
    assert [c.diagnosis for c in cases] == ["NV", "NV", "AKIEC", "AKIEC"]
    assert [c.diagnosis_original for c in cases] == ["nv", "nv", "akiec", "akiec"]
    assert cases.groups == ("HAM_1", "HAM_1", "HAM_2", "HAM_3")
    assert [c.age for c in cases] == [45, 45, None, 80]
    assert [c.sex for c in cases] == ["male", "male", None, "female"]
    assert [c.site for c in cases] == ["back", "back", None, "face"]
    assert {c.source for c in cases} == {"vidir_molemax", "rosendahl"}
    assert cases.cases[0].confirmed_by == "follow_up"
    assert all(c.copies == () and c.path and c.path.suffix == ".jpg" for c in cases)


@pytest.mark.parametrize("beside", [True, False])
def test_ham10000_with_isic2019_truth_has_eight_classes(ham: Path, tmp_path: Path, beside: bool) -> None:
    place = ham if beside else tmp_path / "elsewhere" / "deep"
    truth = write(place / "ISIC_2019_Training_GroundTruth.csv", TRUTH_2019)
    write(place / "ISIC_2019_Training_Metadata.csv", METADATA_2019)
    cases = read_cases(ham) if beside else read_cases(ham, truth=truth)
    assert cases.taxonomy is ISIC2019
    assert [c.diagnosis for c in cases] == ["NV", "NV", "AK", "SCC"]
    assert [c.diagnosis_original for c in cases] == ["nv", "nv", "akiec", "akiec"]
    assert cases.cases[0].confirmed_by == "follow_up"


def test_eight_classes_merge_into_seven_when_asked(ham: Path) -> None:
    write(ham / "ISIC_2019_Training_GroundTruth.csv", TRUTH_2019)
    cases = read_cases(ham, taxonomy=ISIC2018)
    assert cases.taxonomy is ISIC2018
    assert [c.diagnosis for c in cases] == ["NV", "NV", "AKIEC", "AKIEC"]


def test_ham10000_cannot_give_eight_classes_by_itself(ham: Path) -> None:
    with pytest.raises(TableError) as caught:
        read_cases(ham, taxonomy=ISIC2019)
    assert "HAM10000_metadata.csv: labels that are no diagnosis of isic2019: 'akiec' (2 images)" in str(caught.value)
    assert "ISIC_2019_Training_GroundTruth.csv as truth= tells AK from SCC" in str(caught.value)


def test_two_sizes_are_one_case_and_the_first_folder_is_preferred(ham: Path, tmp_path: Path) -> None:
    sharp = picture(tmp_path / "sharp" / f"{STEMS[2]}.jpg", (20, 20))
    cases = read_cases([tmp_path / "sharp", ham], metadata=ham / "HAM10000_metadata.csv")
    assert cases.ids == STEMS
    assert cases.cases[2].path == sharp
    assert cases.cases[2].copies == (ham / "HAM10000_images_part_2" / f"{STEMS[2]}.jpg",)
    assert cases.cases[0].copies == ()
    write(ham / "ISIC_2019_Training_GroundTruth.csv", TRUTH_2019)
    assert read_cases([tmp_path / "sharp", ham]).cases[3].diagnosis == "SCC"


def test_within_one_folder_the_largest_copy_is_preferred(ham: Path) -> None:
    large = picture(ham / "small" / f"{STEMS[0]}.png", (200, 100))
    medium = picture(ham / "zz" / f"{STEMS[0]}.jpg", (100, 50))
    (ham / "zz" / f"{STEMS[0]}.bmp").write_bytes(b"damaged")
    case = read_cases(ham).cases[0]
    assert case.path == large
    assert case.copies[0] == medium
    assert case.copies[-1] == ham / "zz" / f"{STEMS[0]}.bmp"


# ----------------------------------------------------------------------------------------------------- ISIC challenges


def test_the_isic_challenge_layout(challenge: Path) -> None:
    cases = read_cases(challenge)
    assert cases.taxonomy is ISIC2019
    assert cases.ids == ("ISIC_0024306", "ISIC_0024307_downsampled", "ISIC_0024308", "ISIC_0024309")
    assert [c.diagnosis for c in cases] == ["NV", "NV", "AK", "SCC"]
    assert [c.lesion_id for c in cases] == ["HAM_1", "HAM_1", None, "HAM_3"]
    assert [c.site for c in cases] == ["posterior torso", "posterior torso", None, "head/neck"]


def test_the_challenge_with_named_tables_and_an_image_folder(challenge: Path) -> None:
    cases = read_cases(
        challenge / "ISIC_2019_Training_Input",
        truth=challenge / "ISIC_2019_Training_GroundTruth.csv",
        metadata=challenge / "ISIC_2019_Training_Metadata.csv",
    )
    assert cases.cases == read_cases(challenge).cases
    bare = read_cases(
        challenge / "ISIC_2019_Training_Input", truth=str(challenge / "ISIC_2019_Training_GroundTruth.csv")
    )
    assert [c.diagnosis for c in bare] == ["NV", "NV", "AK", "SCC"]
    assert {c.age for c in bare} == {None}


def test_downsampled_matches_both_ways(challenge: Path) -> None:
    folder = challenge / "ISIC_2019_Training_Input"
    (folder / f"{STEMS[1]}_downsampled.jpg").rename(folder / f"{STEMS[1]}.jpg")
    (folder / f"{STEMS[0]}.jpg").rename(folder / f"{STEMS[0]}_downsampled.jpg")
    cases = read_cases(challenge)
    assert cases.ids == ("ISIC_0024306_downsampled", "ISIC_0024307", "ISIC_0024308", "ISIC_0024309")
    assert [c.lesion_id for c in cases] == ["HAM_1", "HAM_1", None, "HAM_3"]


def test_tables_inside_unpacked_archives(tmp_path: Path) -> None:
    write(tmp_path / "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv", TRUTH_2018)
    for stem in (STEMS[0], STEMS[2]):
        picture(tmp_path / f"ISIC2018_Task3_Training_Input/{stem}.jpg")
    cases = read_cases(tmp_path)
    assert cases.taxonomy is ISIC2018
    assert [c.diagnosis for c in cases] == ["NV", "AKIEC"]


def test_unknown_stays_without_diagnosis(challenge: Path) -> None:
    truth = challenge / "ISIC_2019_Training_GroundTruth.csv"
    truth.write_text(TRUTH_2019.replace("ISIC_0024308,0,0,0,1,0,0,0,0,0", "ISIC_0024308,0,0,0,0,0,0,0,0,1"))
    case = read_cases(challenge).cases[2]
    assert (case.diagnosis, case.diagnosis_original) == (None, "UNK")


def test_scc_of_unknown_origin_is_merged_with_a_warning(challenge: Path) -> None:
    with pytest.warns(UserWarning, match="SCC that may be invasive counted as AKIEC: ISIC_0024309"):
        cases = read_cases(challenge, taxonomy=ISIC2018)
    assert cases.taxonomy is ISIC2018


def test_seven_classes_cannot_be_turned_into_eight(tmp_path: Path) -> None:
    write(tmp_path / "truth.csv", TRUTH_2018)
    for stem in (STEMS[0], STEMS[2]):
        picture(tmp_path / f"{stem}.jpg")
    with pytest.raises(InputError, match="labels of isic2018 cannot be turned into isic2019; give another truth file"):
        read_cases(tmp_path, taxonomy=ISIC2019)


def test_a_row_that_is_not_one_hot(challenge: Path) -> None:
    truth = challenge / "ISIC_2019_Training_GroundTruth.csv"
    truth.write_text(TRUTH_2019.replace("ISIC_0024308,0,0,0,1", "ISIC_0024308,0,0,1,1"))
    with pytest.raises(TableError, match=r"GroundTruth\.csv: rows that do not hold a single 1 .*: ISIC_0024308;"):
        read_cases(challenge)


def test_missing_images_are_listed(challenge: Path) -> None:
    for stem in (STEMS[0], STEMS[3]):
        (challenge / "ISIC_2019_Training_Input" / f"{stem}.jpg").unlink()
    with pytest.raises(TableError) as caught:
        read_cases(challenge)
    assert "ISIC_2019_Training_GroundTruth.csv: no image for 2 of 4 rows: ISIC_0024306, ISIC_0024309." in str(
        caught.value
    )
    assert f"Put them under {challenge} or remove the rows" in str(caught.value)


def test_a_truth_file_that_is_none(challenge: Path) -> None:
    table = write(challenge / "other.csv", "image,MEL,NV\nISIC_0024306,0,1\n")
    with pytest.raises(TableError, match=r"other\.csv: neither a column for each diagnosis .*; it has image, MEL, NV"):
        read_cases(challenge / "ISIC_2019_Training_Input", truth=table)


def test_several_tables_ask_for_a_choice(challenge: Path) -> None:
    write(challenge / "again.csv", TRUTH_2019)
    with pytest.raises(InputError, match=r"several tables could be the truth: .*; give truth=FILE"):
        read_cases(challenge)
    cases = read_cases(challenge, truth=challenge / "again.csv")
    assert len(cases) == 4
    write(challenge / "more.csv", METADATA_2019)
    with pytest.raises(InputError, match=r"several tables could be the metadata: .*; give metadata=FILE"):
        read_cases(challenge, truth=challenge / "again.csv")


def test_tables_of_something_else_are_passed_over(challenge: Path) -> None:
    write(challenge / "pixels.csv", "pixel0000,pixel0001,label\n1,2,3\n")
    write(challenge / "list.csv", "image\na\n")
    write(challenge / ".hidden.csv", "junk")
    assert len(read_cases(challenge)) == 4


def test_an_image_in_two_rows(challenge: Path) -> None:
    truth = challenge / "ISIC_2019_Training_GroundTruth.csv"
    truth.write_text(TRUTH_2019 + "ISIC_0024306_downsampled,1,0,0,0,0,0,0,0,0\n")
    with pytest.raises(
        TableError, match=r"GroundTruth\.csv: images stand in more than one row: ISIC_0024306; keep one"
    ):
        read_cases(challenge)


# ------------------------------------------------------------------------------------------------------- class folders


def test_a_folder_per_class(tmp_path: Path) -> None:
    for name in (
        "MEL/a.jpg",
        "melanoma/b.png",
        "Basal_Cell_Carcinoma/c.jpg",
        "nevus/deep/d.jpg",
        "seborrheic keratosis/e.jpg",
    ):
        picture(tmp_path / name)
    cases = read_cases(tmp_path)
    assert cases.taxonomy is ISIC2019
    assert cases.ids == ("a", "b", "c", "d", "e")
    assert [c.diagnosis for c in cases] == ["MEL", "MEL", "BCC", "NV", "BKL"]
    assert cases.cases[2].diagnosis_original == "Basal_Cell_Carcinoma"


def test_class_folders_of_isic2018_and_of_an_own_taxonomy(tmp_path: Path) -> None:
    picture(tmp_path / "akiec/a.jpg")
    picture(tmp_path / "nv/b.jpg")
    assert read_cases(tmp_path).taxonomy is ISIC2018
    own = Taxonomy("own", (Diagnosis("BAD", "akiec", "malignant"), Diagnosis("NV", "nevus", "benign")))
    assert [c.diagnosis for c in read_cases(tmp_path, taxonomy=own)] == ["BAD", "NV"]


def test_class_folders_with_own_labels(tmp_path: Path) -> None:
    picture(tmp_path / "bösartig/a.jpg")
    picture(tmp_path / "gutartig/b.jpg")
    cases = read_cases(tmp_path, labels={"bösartig": "MEL", "Gutartig": "NV"})
    assert [c.diagnosis for c in cases] == ["MEL", "NV"]


def test_a_class_folder_that_names_nothing(tmp_path: Path) -> None:
    for name in ("MEL/a.jpg", "melanom/b.jpg"):
        picture(tmp_path / name)
    with pytest.raises(TableError) as caught:
        read_cases(tmp_path)
    assert "folders that name no diagnosis: melanom; images outside a class folder: none" in str(caught.value)
    assert "Accepted are MEL (melanoma), NV (melanocytic nevus)" in str(caught.value)


def test_images_beside_class_folders(tmp_path: Path) -> None:
    picture(tmp_path / "MEL/a.jpg")
    picture(tmp_path / "b.jpg")
    with pytest.raises(TableError, match="no diagnosis: none; images outside a class folder: b"):
        read_cases(tmp_path)


def test_one_id_in_two_classes(tmp_path: Path) -> None:
    picture(tmp_path / "MEL/1.jpg")
    picture(tmp_path / "NV/1.jpg")
    with pytest.raises(TableError, match=r"one image id in several class folders: 1 \(MEL, NV\); rename or remove one"):
        read_cases(tmp_path)


def test_images_alone_are_cases_without_labels(tmp_path: Path) -> None:
    picture(tmp_path / "b.jpg")
    picture(tmp_path / "a.png")
    cases = read_cases(str(tmp_path))
    assert cases.ids == ("a", "b")
    assert [c.diagnosis for c in cases] == [None, None]


# ------------------------------------------------------------------------------------------------------------- any CSV


def test_any_csv_with_a_column_map(tmp_path: Path) -> None:
    table = write(
        tmp_path / "clinic.csv",
        "file;Befund;Patient;Alter\npics/1.jpg;Melanom;p7;61\npics/2.JPG;Nävus;p8;\n",
    )
    picture(tmp_path / "pics/1.jpg")
    picture(tmp_path / "pics/2.JPG")
    cases = read_cases(
        table,
        columns={"image": "file", "diagnosis": "Befund", "patient": "Patient", "age": "Alter"},
        labels={"Melanom": "MEL", "Nävus": "NV"},
    )
    assert cases.ids == ("1", "2")
    assert [c.diagnosis for c in cases] == ["MEL", "NV"]
    assert [c.patient_id for c in cases] == ["p7", "p8"]
    assert [c.age for c in cases] == [61, None]
    assert cases.cases[0].diagnosis_original == "Melanom"


def test_a_csv_with_known_columns_needs_no_map(tmp_path: Path) -> None:
    picture(tmp_path / "x.jpg")
    cases = read_cases(write(tmp_path / "t.csv", "image,diagnosis\nx,melanoma\n"))
    assert cases.cases[0].diagnosis == "MEL"


def test_a_one_hot_csv_as_the_path(challenge: Path) -> None:
    cases = read_cases(challenge / "ISIC_2019_Training_GroundTruth.csv")
    assert [c.diagnosis for c in cases] == ["NV", "NV", "AK", "SCC"]


def test_labels_in_a_separate_table(tmp_path: Path) -> None:
    picture(tmp_path / "pics/x.jpg")
    metadata = write(tmp_path / "m.csv", "image,age\nx,50\n")
    truth = write(tmp_path / "t.csv", "image,diagnosis\nx,bcc\n")
    case = read_cases(tmp_path / "pics", metadata=metadata, truth=truth).cases[0]
    assert (case.diagnosis, case.age) == ("BCC", 50)


def test_metadata_alone_gives_cases_without_labels(tmp_path: Path) -> None:
    picture(tmp_path / "x.jpg")
    cases = read_cases(write(tmp_path / "t.csv", "image,age\nx,50\n"))
    assert [(c.diagnosis, c.age) for c in cases] == [(None, 50)]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "image,dx\nx,melanom\n",
            r"t\.csv: labels that are no diagnosis of isic2019: 'melanom' \(1 images\)\. Accepted are MEL",
        ),
        ("picture,dx\nx,mel\n", r"t\.csv: no column names the image; it has picture, dx"),
        ("image,dx,age\nx,mel,old\n", "x: the age 'old' is not a number of years; mend the table"),
        ("image,dx,age\nx,mel,200\n", r"t\.csv: impossible age in years: x \(200\.0\); mend these rows"),
        ("image,dx\nx,mel\ny,mel\n", r"t\.csv: no image for 1 of 2 rows: y\."),
        ("image,dx\nz,mel\n", r"t\.csv: no image for 1 of 1 rows: z\."),
    ],
)
def test_broken_csv(tmp_path: Path, text: str, match: str) -> None:
    picture(tmp_path / "x.jpg")
    with pytest.raises(TableError, match=match):
        read_cases(write(tmp_path / "t.csv", text))


def test_a_column_that_is_absent(tmp_path: Path) -> None:
    picture(tmp_path / "x.jpg")
    table = write(tmp_path / "t.csv", "image,dx\nx,mel\n")
    with pytest.raises(TableError, match=r"t\.csv: no column 'Befund' for the diagnosis; it has image, dx"):
        read_cases(table, columns={"diagnosis": "Befund"})


def test_paths_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: does not exist; give the folder of the images or their CSV"):
        read_cases(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no folder: does not exist"):
        read_cases([])
    with pytest.raises(InputError, match="no images here; give the folder that holds them"):
        read_cases(tmp_path)


UNUSUAL = "photo,finding,lesion_id\na.jpg,nv,L1\nb.jpg,mel,L2\n"


def unusual(folder: Path, text: str = UNUSUAL) -> Path:
    for name in ("a.jpg", "b.jpg"):
        picture(folder / name)
    write(folder / "labels.csv", text)
    return folder


def test_a_table_in_the_folder_is_read_by_the_columns_that_are_named(tmp_path: Path) -> None:
    columns = {"image": "photo", "diagnosis": "finding"}
    write(unusual(tmp_path) / "notes.csv", "image,weather\na,fine\nb,rain\n")
    cases = read_cases(tmp_path, columns=columns)
    assert [(c.image_id, c.diagnosis, c.lesion_id) for c in cases] == [("a", "NV", "L1"), ("b", "MEL", "L2")]
    with pytest.raises(TableError, match=r"no table here has the column 'foto' for the image \(found: .*labels\.csv"):
        read_cases(tmp_path, columns={"image": "foto"})


def test_a_table_that_speaks_of_the_images_is_never_passed_over(tmp_path: Path) -> None:
    why = (
        r"labels\.csv: the column 'photo' names the images, but is not called image, image_id, image_name, isic_id, "
        r"file, filename; rename it, or give columns=\{'image': 'photo'\}$"
    )
    with pytest.raises(TableError, match=why):
        read_cases(unusual(tmp_path / "one"))
    assert len(read_cases(unusual(tmp_path / "two", "day,weather\nMonday,fine\n"))) == 2


@pytest.mark.parametrize("more", ["lesion_id", "score_weight", "comment"])
def test_a_one_hot_table_may_say_more(tmp_path: Path, more: str) -> None:
    text = f"image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,{more}\na,1,0,0,0,0,0,0,0,1\nb,0,1,0,0,0,0,0,0,1\n"
    cases = read_cases(unusual(tmp_path, text))
    assert [c.diagnosis for c in cases] == ["MEL", "NV"]
    assert {c.lesion_id for c in cases} == ({"1"} if more == "lesion_id" else {None})
