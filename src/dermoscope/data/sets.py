"""The public data sets as values, in one dict: what each is, where it is published, how it speaks, what is allowed.

What the fields mean stands in `data/dataset.py`, which word means which code in `data/labels.py`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from dermoscope.data.dataset import DataSet, Layout
from dermoscope.data.sets_archive import BCN20000, DERM12345, HIBA, ISIC2016, ISIC2020, ISIC2024, MILK10K, MSK
from dermoscope.data.sets_isic import BUCKETS, HAM10000, ISIC2017, ISIC2018_SET, ISIC2019_SET
from dermoscope.data.sets_others import DDI, DERM7PT, FITZPATRICK17K, MEDNODE, MIDAS, PADUFES20, PH2, SD198, SKINL2

__all__ = ["BUCKETS", "CATALOG", "DataSet", "Layout"]

FETCHED = (HAM10000, ISIC2018_SET, ISIC2019_SET, ISIC2017)
"""Those that `dermoscope data get` fetches."""
DERMOSCOPIC = (ISIC2016, ISIC2020, BCN20000, MSK, DERM12345, PH2, SKINL2)
MIXED = (MILK10K, HIBA, DERM7PT, MIDAS)
CLINICAL = (ISIC2024, MEDNODE, SD198, PADUFES20, FITZPATRICK17K, DDI)

CATALOG: Mapping[str, DataSet] = MappingProxyType({d.name: d for d in (*FETCHED, *DERMOSCOPIC, *MIXED, *CLINICAL)})
