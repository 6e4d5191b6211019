"""Eight lesions, each drawn with the structures by which dermoscopy knows it.

The structures and their names follow Kittler et al. 2016, "Standardization of terminology in dermoscopy/dermatoscopy:
Results of the third consensus conference of the International Society of Dermoscopy", J Am Acad Dermatol 74(6).
Each painter adds one lesion to a scene of bare skin and returns where it lies.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from dermoscope.data.synthetic_skin import (
    Color,
    Lesion,
    Map,
    Painter,
    Scene,
    cells,
    curve,
    noise,
    outline,
    spots,
    step,
    strokes,
    tree,
)

VEILS: tuple[Color, ...] = ((0.45, 0.45, 0.60), (0.52, 0.46, 0.58), (0.36, 0.40, 0.58))
SCAR: Color = (0.93, 0.84, 0.84)
KERATIN: Color = (0.93, 0.86, 0.68)
SCALE: Color = (0.97, 0.94, 0.93)


def network(scene: Scene, size: float, jitter: float = 0.3) -> Map:
    """Pigment network: dark lines around pale holes, thicker where they meet; `size` of a hole in picture heights."""
    return step(0.45, 1.15, cells(scene.rng, scene.shape, size * scene.unit, jitter))


def nevus(scene: Scene) -> Lesion:
    """NV: round and symmetric, even brown, with a network, globules, or no structure at all."""
    rng, unit = scene.rng, scene.unit
    lesion = outline(scene, rng.uniform(0.13, 0.33), 0.11, rng.uniform(0.15, 0.4))
    body = lesion.inside(rng.uniform(0.15, 0.4))
    tone = rng.uniform(0.3, 1.0)
    even = 1.0 + 0.2 * noise(rng, scene.shape, 0.12 * unit, 5)
    pattern = rng.choice(["reticular", "globular", "plain"], p=[0.5, 0.2, 0.3])
    if pattern == "reticular":
        lines = network(scene, rng.uniform(0.016, 0.026)) * step(-1.2, 1.2, noise(rng, scene.shape, 0.12 * unit, 3))
        scene.melanin += tone * body * even * (0.6 + 0.7 * lines)
        scene.melanin += tone * 0.5 * step(0.1, 0.9, lesion.depth) * even
    elif pattern == "globular":
        drops = spots(rng, body, int(rng.integers(60, 200)), (0.005 * unit, 0.012 * unit), 0.003 * unit)
        scene.melanin += tone * body * even * (0.6 + 0.3 * step(0.0, 0.8, lesion.depth)) + tone * 0.55 * drops * body
    else:
        scene.melanin += tone * body * even * (0.6 + 0.6 * step(0.0, 0.9, lesion.depth))
    if rng.uniform() < 0.3:
        blot = step(0.35, 1.0, lesion.depth + 0.12 * noise(rng, scene.shape, 0.1 * unit, 4))
        scene.melanin += rng.uniform(0.5, 1.4) * blot * even
    scene.blood += rng.uniform(0.0, 0.4) * lesion.inside(0.5) * even
    return lesion


def melanoma(scene: Scene) -> Lesion:
    """MEL: asymmetric, many colours, atypical network, streaks, blue-white veil, regression."""
    rng, unit = scene.rng, scene.unit
    lesion = outline(scene, rng.uniform(0.2, 0.38), rng.uniform(0.2, 0.34), rng.uniform(0.3, 0.6))
    body = lesion.inside(rng.uniform(0.1, 0.25))
    patches = np.exp(0.5 * noise(rng, scene.shape, 0.3 * unit, 3) + 0.16 * noise(rng, scene.shape, 0.06 * unit, 4))
    slope = 1.0 + 0.5 * np.cos(lesion.angle + rng.uniform(0, 6.3)) * step(1.0, 0.2, lesion.depth)
    lines = network(scene, rng.uniform(0.02, 0.036), 0.45) * step(-0.8, 1.0, noise(rng, scene.shape, 0.2 * unit, 2))
    scene.melanin += rng.uniform(0.45, 1.0) * body * patches * slope * (0.7 + 0.6 * lines)
    dark = step(0.4, 1.8, noise(rng, scene.shape, 0.25 * unit, 4)) * lesion.inside(0.12)
    scene.melanin += rng.uniform(0.5, 2.2) * dark
    dots = spots(rng, body * (0.1 + dark), int(rng.integers(10, 70)), (0.003 * unit, 0.012 * unit), 0.004 * unit)
    scene.melanin += 0.8 * body * dots
    if rng.uniform() < 0.5:
        side = step(0.1, 1.0, np.cos(lesion.angle + rng.uniform(0, 6.3))) * lesion.ring(0.02, 0.09)
        beat = rng.integers(40, 70) * lesion.angle + 3.0 * noise(rng, scene.shape, 0.15 * unit, 3)
        scene.melanin += rng.uniform(0.2, 0.6) * side * step(-0.6, 1.0, np.cos(beat))
    scene.blood += rng.uniform(0.1, 0.5) * body * step(-0.5, 1.8, noise(rng, scene.shape, 0.3 * unit, 4))
    if rng.uniform() < 0.6:
        cloud = noise(rng, scene.shape, 0.3 * unit, 5) + 0.8 * (lesion.depth - 0.3)
        veil = VEILS[int(rng.integers(len(VEILS)))]
        scene.cover(veil, rng.uniform(0.25, 0.65) * step(-0.2, 1.8, cloud) * lesion.inside(0.25))
    if rng.uniform() < 0.4:
        scar = step(0.5, 2.0, noise(rng, scene.shape, 0.24 * unit, 5)) * lesion.inside(0.2)
        scene.cover(SCAR, rng.uniform(0.3, 0.6) * scar)
    return lesion


def basal_cell_carcinoma(scene: Scene) -> Lesion:
    """BCC: pale pink, arborising vessels, blue-grey ovoid nests, leaf-like areas, ulceration."""
    rng, unit = scene.rng, scene.unit
    lesion = outline(scene, rng.uniform(0.16, 0.32), 0.18, 0.5)
    body = lesion.inside(0.5)
    scene.blood += rng.uniform(0.05, 0.35) * body * (1.0 + 0.5 * noise(rng, scene.shape, 0.15 * unit, 5))
    scene.cover(SCAR, rng.uniform(0.1, 0.45) * body * step(-1.2, 1.6, noise(rng, scene.shape, 0.15 * unit, 4)))
    _arborise(scene, lesion)
    if rng.uniform() < 0.75:
        place = lesion.inside(0.3) * step(0.2, 1.2, noise(rng, scene.shape, 0.2 * unit, 2) + lesion.depth)
        nests = spots(rng, place, int(rng.integers(4, 30)), (0.006 * unit, 0.03 * unit), 0.009 * unit, 0.5)
        nests *= np.clip(0.8 + 0.4 * noise(rng, scene.shape, 0.04 * unit, 4), 0.0, 1.4)
        scene.melanin += rng.uniform(0.2, 1.4) * nests
        scene.cover((0.33, 0.31, 0.44), rng.uniform(0.3, 0.7) * nests)
    if rng.uniform() < 0.5:
        leaves = step(0.2, 1.6, noise(rng, scene.shape, 0.08 * unit, 4)) * lesion.ring(0.15, 0.25)
        scene.melanin += rng.uniform(0.3, 0.8) * leaves
    if rng.uniform() < 0.4:
        place = step(0.2, 0.7, lesion.depth)
        ulcer = spots(rng, place, int(rng.integers(1, 4)), (0.01 * unit, 0.035 * unit), 0.006 * unit)
        ulcer *= step(-1.6, 0.4, noise(rng, scene.shape, 0.04 * unit, 4))
        scene.cover((0.50, 0.12, 0.09), 0.8 * ulcer)
        scene.cover((0.80, 0.45, 0.18), 0.6 * ulcer * step(0.3, 1.6, noise(rng, scene.shape, 0.02 * unit, 2)))
    return lesion


def _arborise(scene: Scene, lesion: Lesion) -> None:
    """Bright red trees of vessels that enter the lesion from its border."""
    rng, unit = scene.rng, scene.unit
    for _ in range(rng.integers(0, 4)):
        turn, reach = rng.uniform(0, 6.3), rng.uniform(0.15, 0.3) * unit
        start = (scene.shape[1] / 2 + reach * np.cos(turn), unit / 2 + reach * np.sin(turn))
        width = rng.uniform(0.003, 0.0065) * unit
        lines = tree(rng, start, turn + np.pi + rng.normal(0, 0.4), rng.uniform(0.2, 0.45) * unit, width)
        vessels = strokes(scene.shape, lines, rng.uniform(0.0016, 0.003) * unit)
        scene.blood += rng.uniform(0.4, 0.9) * vessels * lesion.inside(0.9)


def actinic_keratosis(scene: Scene) -> Lesion:
    """AK: red pseudonetwork around pale follicles on sun-damaged skin, white and yellow scale, no sharp border."""
    rng, unit = scene.rng, scene.unit
    lesion = outline(scene, rng.uniform(0.2, 0.36), 0.2, 0.6)
    body = lesion.inside(0.6) * step(-2.2, 1.0, noise(rng, scene.shape, 0.16 * unit, 5))
    holes = cells(rng, scene.shape, rng.uniform(0.03, 0.05) * unit, 0.4)
    meshes = step(0.3, 0.95, holes) * step(-2.0, 0.8, noise(rng, scene.shape, 0.06 * unit, 3))
    scene.blood += rng.uniform(0.15, 0.5) * body * (0.4 + 0.7 * meshes)
    scene.melanin += rng.uniform(0.1, 0.6) * body * (0.3 + 0.8 * meshes)
    scene.cover((0.93, 0.82, 0.72), rng.uniform(0.05, 0.35) * body * step(0.45, 0.1, holes))
    web = np.exp(-((noise(rng, scene.shape, 0.07 * unit, 4) / 0.16) ** 2))
    scene.blood += rng.uniform(0.05, 0.3) * web * lesion.inside(0.8)
    flakes = step(0.3, 2.4, noise(rng, scene.shape, 0.03 * unit, 4) + 0.6 * noise(rng, scene.shape, 0.15 * unit, 2))
    scene.cover(SCALE if rng.uniform() < 0.7 else KERATIN, rng.uniform(0.1, 0.7) * flakes * body)
    return lesion


def benign_keratosis(scene: Scene) -> Lesion:
    """BKL: sharp, waxy and stuck on, with milia-like cysts, comedo-like openings, ridges and fissures."""
    rng, unit = scene.rng, scene.unit
    lesion = outline(scene, rng.uniform(0.18, 0.38), 0.18, rng.uniform(0.15, 0.5))
    body = lesion.inside(rng.uniform(0.05, 0.3))
    folds = np.exp(-((noise(rng, scene.shape, rng.uniform(0.03, 0.07) * unit, 3) / 0.32) ** 2))
    grain = 1.0 + 0.3 * noise(rng, scene.shape, 0.03 * unit, 4) + 0.3 * noise(rng, scene.shape, 0.25 * unit, 4)
    tone = rng.uniform(0.3, 0.95) * body * np.clip(grain, 0.25, None)
    scene.melanin += tone * (0.65 + rng.uniform(0.1, 0.9) * folds) * (1.0 + 0.3 * lesion.ring(0.03, 0.08))
    if rng.uniform() < 0.3:
        scene.melanin += (
            rng.uniform(0.4, 1.4) * lesion.inside(0.2) * step(-0.3, 1.5, noise(rng, scene.shape, 0.2 * unit, 4))
        )
    scene.blood += rng.uniform(0.0, 0.25) * body
    openings = spots(rng, body, int(rng.integers(0, 25)), (0.004 * unit, 0.012 * unit), 0.003 * unit, 0.6)
    scene.melanin += 0.8 * openings * body
    waxy = step(-0.4, 1.8, noise(rng, scene.shape, 0.07 * unit, 4))
    wax = ((0.82, 0.74, 0.70), (0.60, 0.54, 0.58), (0.76, 0.62, 0.44))[int(rng.integers(3))]
    scene.cover(wax, rng.uniform(0.0, 0.6) * body * waxy)
    inner = body * step(0.05, 0.3, lesion.depth)
    cysts = spots(rng, inner, int(rng.integers(3, 60)), (0.003 * unit, 0.009 * unit), 0.003 * unit)
    scene.cover((0.97, 0.90, 0.80), rng.uniform(0.35, 0.75) * cysts)
    return lesion


def dermatofibroma(scene: Scene) -> Lesion:
    """DF: a white scar-like patch in the centre, a delicate network around it, fading into pink-brown skin."""
    rng, unit = scene.rng, scene.unit
    lesion = outline(scene, rng.uniform(0.2, 0.36), 0.08, 0.3)
    body = lesion.inside(0.7)
    cloud = 1.0 + 0.3 * noise(rng, scene.shape, 0.12 * unit, 5)
    rim = lesion.ring(0.3, 0.35)
    scene.melanin += rng.uniform(0.05, 0.35) * body * cloud * (0.5 + 0.7 * rim)
    scene.melanin += rng.uniform(0.05, 0.3) * network(scene, rng.uniform(0.016, 0.024)) * rim * cloud
    scene.blood += rng.uniform(0.1, 0.5) * body * (1 + 0.35 * noise(rng, scene.shape, 0.12 * unit, 5))
    core = step(0.3, 1.1, lesion.depth + 0.12 * noise(rng, scene.shape, 0.08 * unit, 5))
    scene.cover((0.95, 0.84, 0.86), rng.uniform(0.3, 0.75) * core)
    shine = [
        (curve(rng, (scene.shape[1] / 2 + dx, unit / 2 + dy), rng.uniform(0, 6.3), length, 0.12), 0.002 * unit)
        for dx, dy, length in zip(*rng.normal(0, 0.07 * unit, (2, 24)), rng.uniform(0.03, 0.1, 24) * unit, strict=True)
    ]
    bands = strokes(scene.shape, shine[: rng.integers(4, 24)], 0.0022 * unit)
    scene.cover((0.99, 0.94, 0.95), rng.uniform(0.2, 0.6) * bands * step(0.2, 0.6, lesion.depth))
    return lesion


def vascular_lesion(scene: Scene) -> Lesion:
    """VASC: red, purple or blue-black lacunae, sharply set off, with paler septa and sometimes a whitish veil."""
    rng, unit = scene.rng, scene.unit
    lesion = outline(scene, rng.uniform(0.1, 0.33), 0.09, 0.2)
    body = lesion.inside(rng.uniform(0.06, 0.14))
    lakes = step(1.15, 0.55, cells(rng, scene.shape, rng.uniform(0.03, 0.08) * unit, 0.5))
    depth = np.clip(1.0 + 0.25 * noise(rng, scene.shape, 0.1 * unit, 4), 0.4, None)
    fill = depth * (1.0 - rng.uniform(0.1, 0.55) * (1.0 - lakes))
    scene.blood += rng.uniform(1.1, 2.2) * body * fill
    if rng.uniform() < 0.45:
        scene.melanin += rng.uniform(0.2, 1.0) * body * fill
        scene.cover((0.24, 0.16, 0.42), rng.uniform(0.3, 0.7) * body * np.clip(fill, 0, 1))
    scene.blood += rng.uniform(0.1, 0.35) * lesion.inside(0.5)
    if rng.uniform() < 0.35:
        veil = step(0.0, 2.2, noise(rng, scene.shape, 0.12 * unit, 5)) * body
        scene.cover((0.85, 0.76, 0.88), rng.uniform(0.2, 0.5) * veil)
    return lesion


def squamous_cell_carcinoma(scene: Scene) -> Lesion:
    """SCC: pink and scaly, clusters of dotted and glomerular vessels, central keratin, white circles, brown patches."""
    rng, unit = scene.rng, scene.unit
    lesion = outline(scene, rng.uniform(0.22, 0.38), 0.22, 0.5)
    body = lesion.inside(0.5)
    scene.blood += rng.uniform(0.1, 0.4) * body * (1 + 0.5 * noise(rng, scene.shape, 0.16 * unit, 5))
    brown = step(-0.4, 1.8, noise(rng, scene.shape, 0.25 * unit, 5)) * lesion.inside(0.3)
    scene.melanin += rng.uniform(0.3, 1.0) * brown * (1 + 0.3 * noise(rng, scene.shape, 0.025 * unit, 4))
    clusters = body * step(0.0, 1.6, noise(rng, scene.shape, 0.16 * unit, 2))
    coils = spots(rng, clusters, int(rng.integers(30, 200)), (0.002 * unit, 0.0055 * unit), 0.0025 * unit)
    scene.blood += rng.uniform(0.3, 0.8) * coils
    web = np.exp(-((noise(rng, scene.shape, 0.1 * unit, 4) / 0.12) ** 2))
    scene.blood += rng.uniform(0.0, 0.35) * web * lesion.inside(0.9)
    rings = spots(rng, body, int(rng.integers(0, 14)), (0.009 * unit, 0.014 * unit), 0.003 * unit)
    scene.cover(SCALE, 0.4 * step(0.1, 0.45, rings) * step(0.95, 0.5, rings))
    if rng.uniform() < 0.4:
        crust = step(0.0, 1.6, 1.6 * (lesion.depth - 0.4) + 0.6 * noise(rng, scene.shape, 0.1 * unit, 5))
        scene.cover(KERATIN, rng.uniform(0.3, 0.75) * crust)
        scene.melanin += 0.25 * crust * step(0.2, 1.6, noise(rng, scene.shape, 0.04 * unit, 4))
    flakes = step(0.4, 2.6, noise(rng, scene.shape, 0.025 * unit, 4) + 0.7 * noise(rng, scene.shape, 0.15 * unit, 2))
    scene.cover(SCALE, rng.uniform(0.2, 0.8) * flakes * body)
    return lesion


PAINTERS: Mapping[str, Painter] = MappingProxyType(
    {
        "MEL": melanoma,
        "NV": nevus,
        "BCC": basal_cell_carcinoma,
        "AK": actinic_keratosis,
        "BKL": benign_keratosis,
        "DF": dermatofibroma,
        "VASC": vascular_lesion,
        "SCC": squamous_cell_carcinoma,
    }
)
"""Painter of each ISIC 2019 diagnosis."""

SUN_DAMAGED = frozenset({"AK", "SCC", "BCC", "BKL"})
"""Diagnoses that grow on sun-damaged skin."""
