"""Every set of the catalog that is no download, read from drawn images in its published layout."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dermoscope.core.errors import DermoscopeError, TableError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data import labels
from dermoscope.data.catalog import CATALOG, load
from dermoscope.data.labels import DEBATABLE, LEFT_OUT, UNK, Labels, debatable
from dermoscope.data.synthetic import draw

ARCHIVE = "isic_id,diagnosis_1,diagnosis_3,image_type,lesion_id,age_approx,sex,anatom_site_general,copyright_license"
EXPORT = f"""{ARCHIVE}
ISIC_1,Malignant,"Melanoma, NOS",dermoscopic,IL_1,50,male,head/neck,CC-0
ISIC_2,Malignant,Merkel cell carcinoma,dermoscopic,IL_2,50,male,head/neck,CC-0
ISIC_3,Benign,Nevus,clinical: close-up,IL_3,50,male,head/neck,CC-0
ISIC_4,Benign,,dermoscopic,IL_4,50,male,head/neck,CC-0
ISIC_5,Benign,Solar lentigo,dermoscopic,IL_4,50,male,head/neck,CC-0
"""
EXPORTED = {"ISIC_1": "MEL", "ISIC_2": None, "ISIC_5": "BKL"}

TREES: Mapping[str, tuple[tuple[str, ...], Mapping[str, str], Mapping[str, str | None]]] = {
    "isic2016": (
        ("ISBI2016_ISIC_Part3_Training_Data/ISIC_1.jpg", "ISBI2016_ISIC_Part3_Training_Data/ISIC_2.jpg"),
        {"ISBI2016_ISIC_Part3_Training_GroundTruth.csv": "ISIC_1,benign\nISIC_2,malignant\n"},
        {"ISIC_2": "MEL"},
    ),
    "isic2020": (
        ("train/ISIC_1.jpg", "train/ISIC_2.jpg", "train/ISIC_3.jpg"),
        {
            "ISIC_2020_Training_GroundTruth.csv": "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,"
            "diagnosis,benign_malignant,target\nISIC_1,IP_1,male,45.0,head/neck,unknown,benign,0\n"
            "ISIC_2,IP_1,male,45.0,head/neck,lentigo NOS,benign,0\nISIC_3,IP_2,female,,torso,melanoma,malignant,1\n"
        },
        {"ISIC_2": "BKL", "ISIC_3": "MEL"},
    ),
    "isic2024": (
        ("train-image/image/ISIC_1.jpg", "train-image/image/ISIC_2.jpg", "train-image/image/ISIC_3.jpg"),
        {
            "train-metadata.csv": "isic_id,target,patient_id,age_approx,sex,anatom_site_general,iddx_full,iddx_1,"
            "iddx_3,copyright_license\nISIC_1,0,IP_1,60,male,lower extremity,Benign,Benign,,CC-BY\n"
            "ISIC_2,1,IP_1,60,male,torso,Malignant::x::Basal cell carcinoma,Malignant,Basal cell carcinoma,CC-BY-NC\n"
            "ISIC_3,1,IP_2,60,male,torso,Malignant::x::Squamous cell carcinoma in situ,Malignant,"
            "Squamous cell carcinoma in situ,CC-BY-NC\n"
        },
        {"ISIC_2": "BCC", "ISIC_3": "SCC"},
    ),
    "bcn20000": (
        ("bcn_20k_train/BCN_1.jpg", "bcn_20k_train/BCN_2.jpg"),
        {
            "bcn_20k_train.csv": "bcn_filename,age_approx,anatom_site_general,diagnosis,lesion_id,capture_date,sex\n"
            "BCN_1.jpg,55.0,anterior torso,MEL,BCN_0003884,2012-05-16,male\n"
            "BCN_2.jpg,55.0,anterior torso,SK,BCN_0003885,2012-05-16,male\n"
        },
        {"BCN_1": "MEL", "BCN_2": "BKL"},
    ),
    "msk": (tuple(f"ISIC_{n}.jpg" for n in range(1, 6)), {"metadata.csv": EXPORT}, EXPORTED),
    "hiba": (tuple(f"ISIC_{n}.jpg" for n in range(1, 6)), {"metadata.csv": EXPORT}, EXPORTED),
    "milk10k": (
        ("MILK10k_Training_Input/IL_1/ISIC_1.jpg", "MILK10k_Training_Input/IL_1/ISIC_2.jpg",
         "MILK10k_Training_Input/IL_2/ISIC_3.jpg", "MILK10k_Training_Input/IL_3/ISIC_4.jpg",
         "MILK10k_Training_Input/IL_4/ISIC_5.jpg"),
        {
            "MILK10k_Training_Metadata.csv": "lesion_id,image_type,isic_id,attribution,copyright_license,age_approx,"
            "sex\nIL_1,clinical: close-up,ISIC_1,MILK,CC-BY-NC,70,male\nIL_1,dermoscopic,ISIC_2,MILK,CC-BY-NC,70,male\n"
            "IL_2,dermoscopic,ISIC_3,MILK,CC-BY-NC,70,male\nIL_3,dermoscopic,ISIC_4,MILK,CC-BY-NC,70,male\n"
            "IL_4,dermoscopic,ISIC_5,MILK,CC-BY-NC,70,male\n",
            "MILK10k_Training_GroundTruth.csv": "lesion_id,AKIEC,BCC,BEN_OTH,BKL,DF,INF,MAL_OTH,MEL,NV,SCCKA,VASC\n"
            "IL_1,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0\nIL_2,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0\n"
            "IL_3,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\nIL_4,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0,0.0,0.0\n",
        },
        {"ISIC_2": "SCC", "ISIC_3": None, "ISIC_5": "MEL"},
    ),
    "derm12345": (
        ("part_1/D1.jpg", "part_1/D2.jpg", "part_2/D3.jpg"),
        {
            "derm12345_metadata_train.tab": "image_id\tlabel\nD1\tsrjd\nD2\tmpd\n",
            "derm12345_metadata_test.tab": "image_id\tlabel\nD3\tbd\n",
        },
        {"D1": "NV", "D2": None, "D3": "SCC"},
    ),
    "derm7pt": (
        ("images/NEL/NEL025.jpg", "images/NEL/NEL027.jpg", "images/A1L/Aal002.jpg", "images/A1L/Aal003.jpg"),
        {
            "meta/meta.csv": "case_num,diagnosis,seven_point_score,location,sex,clinic,derm,notes\n"
            "1,clark nevus,0,abdomen,female,NEL/NEL027.jpg,NEL/NEL025.jpg,\n"
            "2,melanoma metastasis,6,head neck,male,A1L/Aal003.jpg,A1L/Aal002.jpg,\n"
        },
        {"NEL025": "NV", "Aal002": "MEL"},
    ),
    "ph2": (
        tuple(f"PH2 Dataset images/IMD00{n}/IMD00{n}_{kind}.bmp" for n in (2, 3, 4)
              for kind in (f"Dermoscopic_Image/IMD00{n}", f"lesion/IMD00{n}_lesion")),
        {
            "PH2_dataset.txt": "||   Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Colors ||\n"
            "|| IMD002 ||                        ||                  1 ||         0 |  AT || 3 4 ||\n"
            "|| IMD003 ||      Common Nevus      ||                  0 ||         0 |  T  || 3   ||\n"
            "|| IMD004 ||      Melanoma          ||                  2 ||         2 |  AT || 3 5 ||\n\nLegends\n"
        },
        {"IMD002": "NV", "IMD003": "NV", "IMD004": "MEL"},
    ),
    "skinl2": (
        ("Melanoma/a1.png", "Seborrheic keratosis/a2.png", "Psoriasis/a3.png", "Other/a4.png"),
        {},
        {"a1": "MEL", "a2": "BKL", "a3": None},
    ),
    "mednode": (("melanoma/100.jpg", "naevus/200.jpg"), {}, {"100": "MEL", "200": "NV"}),
    "sd198": (
        ("images/Acne_Vulgaris/000001.jpg", "images/Malignant_Melanoma/000002.jpg",
         "images/Metastatic_Carcinoma/000003.jpg", "images/Dermatosis_Papulosa_Nigra/000004.jpg",
         "images/Bowenoid_Papulosis/000005.jpg"),
        {},
        {"000001": None, "000003": None},
    ),
    "padufes20": (
        ("images/imgs_part_1/PAT_1_1_1.png", "images/imgs_part_2/PAT_1_1_2.png", "images/imgs_part_3/PAT_2_3_4.png"),
        {
            "metadata.csv": "patient_id,lesion_id,smoke,age,gender,region,diagnostic,img_id,biopsed\n"
            "PAT_1,1,False,55,FEMALE,NECK,BOD,PAT_1_1_1.png,True\nPAT_1,1,False,55,FEMALE,NECK,BOD,PAT_1_1_2.png,True\n"
            "PAT_2,3,,77,,FACE,SEK,PAT_2_3_4.png,False\n"
        },
        {"PAT_1_1_1": "SCC", "PAT_1_1_2": "SCC", "PAT_2_3_4": "BKL"},
    ),
    "fitzpatrick17k": (
        ("images/aa.jpg", "images/bb.jpg"),
        {
            "fitzpatrick17k.csv": "md5hash,fitzpatrick_scale,fitzpatrick_centaur,label,nine_partition_label,"
            "three_partition_label,qc,url,url_alphanum\naa,3,3,halo nevus,benign,benign,,http://a,a.jpg\n"
            "bb,1,1,kaposi sarcoma,malignant,malignant,,http://b,b.jpg\ncc,1,1,acne,x,x,,http://gone,c.jpg\n"
        },
        {"aa": "NV", "bb": None},
    ),
    "ddi": (
        ("images/000001.png", "images/000002.png", "images/000003.png"),
        {
            "ddi_metadata.csv": ",DDI_ID,DDI_file,skin_tone,malignant,disease\n"
            "0,1,000001.png,56,True,melanoma-in-situ\n1,2,000002.png,12,True,mycosis-fungoides\n2,3,000003.png,12,False,blue-nevus\n"
        },
        {"000001": "MEL", "000002": None, "000003": "NV"},
    ),
    "midas": (
        ("s-1.jpg", "s-2.jpg", "s-3.jpg", "s-4.jpg"),
        {
            "release_midas.csv": ",midas_record_id,midas_file_name,midas_distance,midas_path,midas_gender,midas_age\n"
            "0,7,s-1.jpg,6in,malignant- scc,male,60\n1,7,s-2.jpg,dscope,malignant- sccis,male,60\n"
            "2,8,s-3.jpg,dscope,malignant- other,female,61\n"
            '3,9,s-4.jpg,dscope,"other- melanocytic lesion, possible re-excision",female,61\n'
        },
        {"s-2": "SCC", "s-3": None},
    ),
}  # fmt: skip
"""Set -> its images, its tables, and the code of every image that is read (None: UNK)."""


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    return draw(1, "NV", (64, 64)).jpeg()


def laid_out(name: str, root: Path, jpeg: bytes) -> Path:
    """A set as published, below `root`."""
    images, tables, _ = TREES[name]
    for where, data in [(i, jpeg) for i in images] + [(t, text.encode()) for t, text in tables.items()]:
        path = root / name / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_every_set_of_the_catalog_is_read_in_some_test() -> None:
    assert set(CATALOG) - set(TREES) == {"ham10000", "isic2017", "isic2018", "isic2019"}


@pytest.mark.parametrize("name", TREES)
def test_it_is_read_in_its_published_layout(name: str, tmp_path: Path, jpeg: bytes) -> None:
    entry, expected = CATALOG[name], TREES[name][2]
    cases = load(name, laid_out(name, tmp_path, jpeg))
    assert {c.image_id: c.diagnosis for c in cases} == expected
    assert cases.taxonomy is ISIC2019
    assert {c.source for c in cases} == {name}
    assert all(c.licence for c in cases)
    assert all(c.diagnosis_original and c.path and c.path.is_file() for c in cases)
    assert cases.holds == entry.holds
    assert all(c.diagnosis in cases.holds.get(name, ISIC2019) for c in cases if c.diagnosis)


def test_what_the_tables_say_of_a_case_arrives(tmp_path: Path, jpeg: bytes) -> None:
    first, *_ = load("padufes20", laid_out("padufes20", tmp_path, jpeg))
    assert (first.patient_id, first.lesion_id, first.age, first.sex, first.site) == (
        "PAT_1",
        "1",
        55.0,
        "female",
        "NECK",
    )
    first, *_ = load("hiba", laid_out("hiba", tmp_path, jpeg))
    assert (first.lesion_id, first.licence, first.site) == ("IL_1", "CC-0", "head/neck")


def test_derm12345_and_bcn20000_are_read_as_the_archive_exports_them(tmp_path: Path, jpeg: bytes) -> None:
    for name in ("derm12345", "bcn20000"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.csv").write_text(EXPORT)
        for n in range(1, 6):
            (tmp_path / name / f"ISIC_{n}.jpg").write_bytes(jpeg)
        assert {c.image_id: c.diagnosis for c in load(name, tmp_path)} == EXPORTED


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        (
            "ph2",
            lambda t: t.replace(" 2 ||         2", " 7 ||         2"),
            "no clinical diagnosis of 0, 1 or 2 for IMD004",
        ),
        ("isic2016", lambda t: t + "ISIC_3\n", "rows 3 are not an image and a word"),
        ("milk10k", lambda t: t.replace("IL_2,0.0", "IL_2,1.0"), "no single code for IL_2; fetch both tables again"),
        (
            "derm7pt",
            lambda t: t.replace("clark nevus", "clark"),
            r"no code for: 'clark' \(1\); add them to data/labels",
        ),
        ("hiba", lambda t: t.replace("image_type", "kind"), "no column 'image_type' to tell dermoscopic images by"),
        ("isic2020", lambda t: re.sub("lentigo NOS|melanoma", "unknown", t), "no row says one of the diagnoses"),
    ],
)
def test_what_is_broken_is_named(
    name: str, spoil: Callable[[str], str], said: str, tmp_path: Path, jpeg: bytes
) -> None:
    laid_out(name, tmp_path, jpeg)
    for table in TREES[name][1]:
        path = tmp_path / name / table
        path.write_text(spoil(path.read_text()))
    with pytest.raises(TableError, match=said):
        load(name, tmp_path)


def test_one_image_in_two_class_folders_is_refused(tmp_path: Path, jpeg: bytes) -> None:
    laid_out("mednode", tmp_path, jpeg)
    (tmp_path / "mednode/naevus/100.jpg").write_bytes(jpeg)
    with pytest.raises(TableError, match=r"one image id in several class folders: 100 \(melanoma, naevus\)"):
        load("mednode", tmp_path)


def test_what_is_missing_is_said_with_the_citation(tmp_path: Path) -> None:
    with pytest.raises(
        DermoscopeError, match=r"data set ph2: .*PH2_dataset\.txt missing; put the published files there"
    ):
        load("ph2", tmp_path)


MAPS = {name: value for name, value in vars(labels).items() if isinstance(value, Labels)}
MALIGNANT = re.compile("malig|melanoma|carcinoma|sarcoma|lymphoma|metasta|paget|merkel|leukemia|fungoides|bowen|sccis")
TELL_TALE = {"anm", "alm", "lm", "lmm", "mel", "bcc", "scc", "bd", "mpd", "dfsp", "ks", "bod", "mal oth", "sccka"}


@pytest.mark.parametrize("name", MAPS)
def test_a_malignant_word_never_becomes_benign(name: str) -> None:
    benign = {d.code for d in ISIC2019.diagnoses if d.group == "benign"}
    for word, code in MAPS[name].codes.items():
        assert code in {*ISIC2019.codes, UNK, LEFT_OUT}
        if MALIGNANT.search(word) or word in TELL_TALE:
            assert code not in (benign if word == "malignant ak" else benign | {"AK"}), word
    for unheard_of in ("Merkel cell carcinoma", "angiosarcoma"):
        assert MAPS[name].code(unheard_of) in {"", UNK, LEFT_OUT}


def test_no_word_means_two_codes() -> None:
    for name, one in MAPS.items():
        words = [labels.plain(w) for words in one.words.values() for w in words]
        assert len(words) == len(set(words)), name


def test_seeds_are_followed_and_mended() -> None:
    assert {labels.DERM7PT.code(w) for w in labels.DERM7PT.words["NV"]} == {"NV"}
    assert labels.DERM7PT.code("Melanoma metastasis") == "MEL"
    assert [labels.DERM7PT.code(w) for w in ("lentigo", "melanosis", "miscellaneous")] == ["BKL", "BKL", UNK]


def test_every_debatable_choice_concerns_a_set_and_has_a_reason() -> None:
    shown = {choice.why for one in MAPS.values() for choice in debatable(one)}
    assert shown == {choice.why for choice in DEBATABLE}
    assert "lentigo" in [w for choice in debatable(labels.DERM7PT) for w in choice.words]
