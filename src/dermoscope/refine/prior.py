"""Prior shift: from how common diagnoses were where a model was calibrated to how common they are elsewhere."""


from dermoscope.core.errors import ValueRuleError
from dermoscope.core.probabilities import Prior, Probabilities


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
