"""Recipes and their settings as text."""

import json

import pytest

from dermoscope.core.errors import RecipeError
from dermoscope.train.recipes import DEFAULT, QUICK, RECIPES, recipe


def test_recipes_are_found_by_name() -> None:
    assert recipe("default") is DEFAULT
    assert recipe("quick") is QUICK
    assert all(name == value.name for name, value in RECIPES.items())


def test_an_unknown_recipe() -> None:
    with pytest.raises(RecipeError, match="no recipe 'defualt'; there are default, quick"):
        recipe("defualt")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("batch", "16", 16),
        ("rate", "5e-4", 5e-4),
        ("pretrained", "false", False),
        ("pretrained", "1", True),
        ("backbone", "resnet18", "resnet18"),
        ("phases", "2x64,1x96", ((2, 64), (1, 96))),
        ("head", "", ()),
        ("rates", "1e-4,1e-5", (1e-4, 1e-5)),
        ("rates", "", ()),
        ("ship", "3x224", ((3, 224),)),
        ("preprocessing", "trim_border, shave=7,pad=mirror", ("trim_border", "shave", "pad=mirror")),
        ("preprocessing", "", ()),
    ],
)
def test_settings_as_text(key: str, text: str, value: object) -> None:
    changed = DEFAULT.with_settings({key: text})
    assert getattr(changed, key) == value
    assert type(getattr(changed, key)) is type(value)


def test_a_recipe_without_shipping_can_be_given_one() -> None:
    assert QUICK.with_settings({"ship": "1x64"}).ship == ((1, 64),)


def test_settings_of_the_augmentation() -> None:
    changed = DEFAULT.with_settings({"augmentation.jpeg_p": "0", "augmentation.zoom": "0.9,1.1"})
    assert changed.augmentation.jpeg_p == 0
    assert changed.augmentation.zoom == (0.9, 1.1)
    assert changed.augmentation.hue == DEFAULT.augmentation.hue


@pytest.mark.parametrize("text", ["ink/ruler", "ink, ruler", " ink / ruler/"])
def test_artefacts_and_how_often_in_any_order(text: str) -> None:
    given = {"augmentation.artefact_p": "0.3", "batch": "16", "augmentation.artefacts": text}
    changed = DEFAULT.with_settings(given)
    assert changed == DEFAULT.with_settings(dict(reversed(given.items())))
    assert changed.augmentation.artefacts == ("ink", "ruler")
    assert (changed.augmentation.artefact_p, changed.augmentation.artefact_most) == (0.3, 1.0)
    assert changed.batch == 16
    assert changed.with_settings({"augmentation.artefact_p": "0", "augmentation.artefacts": ""}).augmentation == (
        DEFAULT.augmentation
    )


@pytest.mark.parametrize(("key", "text"), [("artefacts", "ink"), ("artefact_most", "0.5")])
def test_artefacts_that_would_never_be_drawn_are_refused(key: str, text: str) -> None:
    with pytest.raises(RecipeError, match=rf"augmentation has {key}={text} and artefact_p=0, so that none is drawn"):
        DEFAULT.with_settings({f"augmentation.{key}": text})
    told = {f"augmentation.{key}": text, "augmentation.artefact_p": "0"}
    assert DEFAULT.with_settings(told).as_dict() == DEFAULT.as_dict(), "who says 0 means it"
    taught = DEFAULT.with_settings({"augmentation.artefacts": "hair", "augmentation.artefact_p": "0.2"})
    assert taught.with_settings({f"augmentation.{key}": text}).augmentation.artefact_p == 0.2


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("epochs", "3", "no setting 'epochs'; settings are name, kind, backbone"),
        ("full", "{}", "no setting 'full'"),
        ("augmentation", "none", "no setting 'augmentation'"),
        ("augmentation.blur", "1", "no setting 'blur'; settings are angle, shear"),
        ("batch", "many", "setting batch='many': expected something like 32"),
        ("batch", "2.5", "setting batch='2.5': expected something like 32"),
        ("pretrained", "yes", "setting pretrained='yes': expected something like True"),
        ("phases", "3", r"setting phases='3': expected something like 2x128,1x224 \(epochs x side\)"),
        ("phases", "2xbig", r"setting phases='2xbig': expected something like 2x128,1x224"),
        ("augmentation.artefacts", "ink/tattoo", "augmentation: no artefact tattoo; there are ink, ruler"),
        ("augmentation.artefact_p", "0.5", "artefact_p=0.5 and no artefacts; name them: artefacts=ink/ruler"),
        ("augmentation.artefact_p", "often", "setting artefact_p='often': expected something like 0.0"),
        ("augmentation.zoom", "1", r"setting zoom='1': expected something like \(0.75, 1.4\)"),
        ("augmentation.zoom", "0,1", "augmentation has an impossible zoom"),
        ("phases", "", r"setting phases=\(\): it must be epochs x side"),
        ("phases", "0x128", "it must be epochs x side"),
        ("kind", "boost", "setting kind='boost': it must be finetune or probe"),
        ("size", "-5", "setting size=-5: it must be 32 to 4096 px"),
        ("batch", "0", "setting batch=0: it must be 2 or more"),
        ("rate", "nan", "setting rate=nan: it must be a number above 0"),
        ("rate", "0", "setting rate=0.0: it must be a number above 0"),
        ("weight_decay", "-1", "it must be 0 or more"),
        ("ema", "1", "setting ema=1.0: it must be at least 0 and below 1"),
        ("balance", "2", "setting balance=2.0: it must be 0 to 1"),
        ("views", "17", "setting views=17: it must be 1 to 16"),
        ("prior", "vienna", "setting prior='vienna': it must be calibration, uniform or training"),
        ("rates", "fast", "setting rates='fast': expected something like 1e-4,1e-5"),
        ("rates", "1e-4,-1", r"setting rates=\(0.0001, -1.0\): it must be numbers above 0, or empty"),
        ("seed", "-1", "setting seed=-1: it must be 0 or more"),
        ("preprocessing", "sharpen", "no preprocessing step 'sharpen'; there are trim_border, shave"),
        ("preprocessing", "shave=200", "step shave: px='200'; it must be 0 to 100"),
    ],
)
def test_settings_that_a_recipe_cannot_have(key: str, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        DEFAULT.with_settings({key: text})


def test_what_varies_nothing_draws_no_artefacts() -> None:
    given = {"augmentation.artefacts": "ink", "augmentation.artefact_p": "0.3"}
    with pytest.raises(RecipeError, match=r"recipe quick: artefact_p=0.3, but a head on frozen features is trained"):
        QUICK.with_settings(given)
    assert QUICK.with_settings({"kind": "finetune", **given}).augmentation.artefact_p == 0.3


def test_full_changes_what_it_says() -> None:
    full = DEFAULT.with_full()
    assert full.phases == ((60, 224),)
    assert full.batch == 128
    assert full.backbone == DEFAULT.backbone
    assert QUICK.with_full() == QUICK


@pytest.mark.parametrize("value", RECIPES.values(), ids=RECIPES)
def test_every_setting_can_be_written_as_json(value: object) -> None:
    told = json.loads(json.dumps(value.as_dict()))  # type: ignore[attr-defined]
    assert told["name"] in RECIPES
    assert set(told["augmentation"]) >= {"zoom", "jpeg_p"}


def test_preprocessing_is_told_where_there_is_any() -> None:
    assert "preprocessing" not in QUICK.as_dict()
    changed = QUICK.with_settings({"preprocessing": "shave"})
    assert json.loads(json.dumps(changed.as_dict()))["preprocessing"] == ["shave"]
    assert [step.name for step in changed.steps] == ["shave"]


def test_what_came_later_is_told_where_it_is_used() -> None:
    assert "rates" not in DEFAULT.as_dict()
    assert "vertical" not in DEFAULT.as_dict()["augmentation"]
    changed = DEFAULT.with_settings({"rates": "1e-4", "augmentation.vertical": "true"}).as_dict()
    assert not [name for name in DEFAULT.as_dict()["augmentation"] if "artefact" in name]
    never = DEFAULT.with_settings({"augmentation.artefacts": "ink", "augmentation.artefact_p": "0"})
    assert never.as_dict() == DEFAULT.as_dict(), "what is never drawn changes nothing"
    marked = DEFAULT.with_settings({"augmentation.artefacts": "ink/hair", "augmentation.artefact_p": "0.2"}).as_dict()
    told = json.loads(json.dumps(marked))["augmentation"]
    assert (told["artefacts"], told["artefact_p"], told["artefact_most"]) == (["ink", "hair"], 0.2, 1.0)
    assert changed["rates"] == (1e-4,)
    assert changed["augmentation"]["vertical"] is True


def test_the_sides_that_a_network_has_to_take() -> None:
    assert DEFAULT.sides == (128, 160, 192, 224)
    assert DEFAULT.with_settings({"size": "256", "phases": "1x64"}).sides == (64, 128, 192, 256)
