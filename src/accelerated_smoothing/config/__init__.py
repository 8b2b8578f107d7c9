"""The config as typed models: defaults are the paper's, ranges are checked, unknown keys are refused.

- `sections`: one model for each section, and the types of their values.
- `experiment`: `Config`, a whole experiment.
- `papers`: the experiments of sister papers, which change keys of the main one.
- `checks`: rules between keys.
- `errors`: validation errors as one line.
- `loading`: from files to a `Config`.
- `plugins`: names and settings of plug-ins, shapes of data sets.
- `slices`: parts of a data set.
"""

from accelerated_smoothing.config.errors import one_line
from accelerated_smoothing.config.experiment import Config, counter, embedder, owner, trainer
from accelerated_smoothing.config.loading import check, load, read, schema
from accelerated_smoothing.config.plugins import (
    dataset_names,
    dataset_shape,
)
from accelerated_smoothing.config.sections import (
    Alpha,
    Attack,
    Base,
    Comparison,
    Compute,
    Dataset,
    Depth,
    Device,
    Name,
    Paper,
    Passes,
    Precision,
    Published,
    Radius,
    Sampled,
    Sampling,
    Section,
    Seed,
    Shards,
    Sigma,
    Slice,
    Surrogate,
    T,
    Timing,
    Variance,
)
from accelerated_smoothing.config.slices import SPLITS, as_slice

__all__ = [
    "SPLITS",
    "Alpha",
    "Attack",
    "Base",
    "Comparison",
    "Compute",
    "Config",
    "Dataset",
    "Depth",
    "Device",
    "Name",
    "Paper",
    "Passes",
    "Precision",
    "Published",
    "Radius",
    "Sampled",
    "Sampling",
    "Section",
    "Seed",
    "Shards",
    "Sigma",
    "Slice",
    "Surrogate",
    "T",
    "Timing",
    "Variance",
    "as_slice",
    "check",
    "counter",
    "dataset_names",
    "dataset_shape",
    "embedder",
    "load",
    "one_line",
    "owner",
    "read",
    "schema",
    "trainer",
]
