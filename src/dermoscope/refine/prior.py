"""Prior shift: from how common diagnoses were where a model was calibrated to how common they are elsewhere."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from dermoscope.core.errors import InputError, ValueRuleError, some
from dermoscope.core.probabilities import Prior, Probabilities
from dermoscope.core.taxonomy import ISIC2019, ISIC2019_TO_ISIC2018, Taxonomy

_OF_ISIC2019: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        # Tschandl, Rosendahl & Kittler 2018, akiec split by the ISIC 2019 labels of the same images
        "ham10000": (1113, 6705, 514, 130, 1099, 115, 142, 197),
        # rows of ISIC_2019_Training_GroundTruth.csv
        "isic2019": (4522, 12875, 3323, 867, 2624, 239, 253, 628),
    }
)
NAMES = tuple(_OF_ISIC2019)
"""Public data sets whose mix of diagnoses can be asked for by name."""


def named_prior(name: str, taxonomy: Taxonomy) -> Prior:
    """The mix of a public data set as a prior over ISIC 2019 or ISIC 2018.

    Raises InputError for another name or taxonomy.
    """
    if name not in _OF_ISIC2019:
        raise InputError(f"no prior {name!r}; there are calibration, uniform, training, {some(NAMES)}, or give a file")
    counts = np.array(_OF_ISIC2019[name], dtype=float)
    if taxonomy.codes == ISIC2019.codes:
        return Prior.from_counts(name, taxonomy, counts)
    if taxonomy.codes == ISIC2019_TO_ISIC2018.target.codes:
        return Prior.from_counts(name, taxonomy, counts @ ISIC2019_TO_ISIC2018.matrix)
    raise InputError(f"prior {name!r} is not known for {taxonomy.name}; give a file with a share of every diagnosis")


def shift_prior(probabilities: Probabilities, source: Prior, target: Prior) -> Probabilities:
    """Posterior under another prior: `p'_c = p_c (t_c / s_c) / sum_k p_k (t_k / s_k)`.

    `source` is the prior under which the probabilities are calibrated. With a uniform target this is the
    inverse-frequency correction of Steppan & Hanke 2021; in general Saerens, Latinne & Decaestecker 2002, eq. 2.4
    (Neural Computation 14:21). Shifting there and back is the identity.

    Raises ValueRuleError where the three do not share one taxonomy.
    """
    names = {probabilities.taxonomy.codes, source.taxonomy.codes, target.taxonomy.codes}
    if len(names) > 1:
        raise ValueRuleError(
            f"cannot shift {probabilities.taxonomy.name} from a prior over {source.taxonomy.name} "
            f"to one over {target.taxonomy.name}"
        )
    weighted = probabilities.values * (target.values / source.values)
    shifted = weighted / weighted.sum(axis=1, keepdims=True)
    return Probabilities(probabilities.ids, probabilities.taxonomy, shifted)
