"""What a part of one's own is made from: every base class and helper that its file may import.

    from ltvm.plugin import Method, statistics

These names stay where they are from one minor version to the next, whatever moves inside; a recipe
for each kind of part is in CONTRIBUTING.md, its contract as checks in ``ltvm.testing``.

================  ==============================================================================
method            ``Method``, ``ChainMethod``, ``EncoderMethod``; ``Problem``, ``Price``, ``Visit``
data set          ``DataSet``, ``ImageSet``
prior, decoder    ``Prior``; ``statistics`` (of batch norm), ``seeded_defaults``
kernel            ``Kernel``
solver            ``Coupling``, ``permutation_coupling``, ``squared_distances``, ``check_points``
density           ``Density``, ``as_double``, ``fitted_codes``
metric            ``Metric``, ``FeatureMetric``, ``Measurement``, ``Context``, ``Column``
extractor         ``Extractor``, ``to_colour``, ``verify`` (of weights)
draws             ``stream``, ``normal``, ``image_normals``, ``Draws``
errors            ``InputError``, ``DivergedError``, ``require``
================  ==============================================================================
"""

from ltvm.chain.kernels.base import Kernel
from ltvm.data.image_set import DataSet, ImageSet
from ltvm.densities.base import Density, as_double, fitted_codes
from ltvm.errors import DivergedError, InputError, require
from ltvm.methods.base import Method
from ltvm.methods.budget import Price, Visit
from ltvm.methods.chain_method import ChainMethod
from ltvm.methods.encoder_method import EncoderMethod
from ltvm.methods.problem import Problem
from ltvm.metrics.base import Context, Measurement, Metric
from ltvm.metrics.columns import Column
from ltvm.metrics.features.base import Extractor, to_colour
from ltvm.metrics.features.weights import verify
from ltvm.metrics.generation.feature_metric import FeatureMetric
from ltvm.models.batchnorm import statistics
from ltvm.models.networks import seeded_defaults
from ltvm.models.prior import Prior
from ltvm.runtime.randomness import Draws, image_normals, normal, stream
from ltvm.transport.coupling import (
    Coupling,
    check_points,
    permutation_coupling,
    squared_distances,
)

__all__ = [
    "ChainMethod",
    "Column",
    "Context",
    "Coupling",
    "DataSet",
    "Density",
    "DivergedError",
    "Draws",
    "EncoderMethod",
    "Extractor",
    "FeatureMetric",
    "ImageSet",
    "InputError",
    "Kernel",
    "Measurement",
    "Method",
    "Metric",
    "Price",
    "Prior",
    "Problem",
    "Visit",
    "as_double",
    "check_points",
    "fitted_codes",
    "image_normals",
    "normal",
    "permutation_coupling",
    "require",
    "seeded_defaults",
    "squared_distances",
    "statistics",
    "stream",
    "to_colour",
    "verify",
]
