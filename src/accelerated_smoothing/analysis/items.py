"""Tables and figures as values: what they are made from, how they are made, and how they are described."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from accelerated_smoothing.analysis import Settings
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True, kw_only=True)
class Item:
    """What tables and figures have in common.

    Attributes:
        title: what it shows.
        inputs: the files that it is made from, in the order of its rows, for a run.
        load: reads these files, and returns the data that the other functions take.
        caption: what was run, in words, for a run.
        files: how many files it is made from; any number above 0 if None.
    """

    title: str
    inputs: Callable[[Run], list[str]]
    load: Callable[[Sequence[Path]], Any]
    caption: Callable[[Run], str]
    files: int | None = None

    def check(self, paths: Sequence[Path]) -> None:
        """Check the number of files.

        Raises:
            InputError: there are too many or too few.
        """
        if len(paths) != self.files if self.files is not None else not paths:
            number = "at least 1 file" if self.files is None else f"{self.files} file{'s' * (self.files != 1)}"
            raise InputError(f"INPUT must be {number}, got {len(paths)}")


@dataclass(frozen=True, kw_only=True)
class Table(Item):
    """A table.

    Attributes:
        keys: the columns that name a row.
        shares: the columns that are shares of the images, in [0, 1]; so is every column `r=...`.
        make: the table, from the data.
        resample: the data of one bootstrap replicate, for the sampling error of each number.
        comparable: whether a run is the paper's experiment, so that its numbers can be compared with those in print.
        behind: [images] which images a number (data, settings, row, column) comes from; all if None.
        reported: the paper's numbers, a file in resources/reported; None if the paper has none.
        reported_imagenet: its numbers on ImageNet, for images of an imagefolder.
        note: what a reader must know to read its numbers.
        grows_with_samples: whether its numbers grow with N, so that numbers of another N cannot stand beside them.
    """

    keys: list[str]
    make: Callable[[Any, Settings], pd.DataFrame]
    resample: Callable[[Any, np.random.Generator], Any]
    comparable: Callable[[Run], bool]
    shares: frozenset[str] = frozenset()
    behind: Callable[[Any, Settings, pd.Series, str], np.ndarray] | None = None
    reported: str | None = None
    reported_imagenet: str | None = None
    note: str = ""
    grows_with_samples: bool = False

    def is_share(self, column: str) -> bool:
        """Return whether a column holds shares of the images."""
        return column in self.shares or column.startswith("r=")

    def reported_file(self, run: Run) -> str | None:
        """Return the file in resources/reported with the paper's numbers for the images of a run, if there is one."""
        imagenet = run.config().dataset.name == "imagefolder"
        return (self.reported_imagenet if imagenet else None) or self.reported


@dataclass(frozen=True, kw_only=True)
class Figure(Item):
    """A figure.

    Attributes:
        draw: the figure, from the data; the caption (what was run) becomes part of the text below it.
        words: what the figure shows, for those who cannot see it, from the data.
    """

    draw: Callable[[Any, Settings, str], "matplotlib.figure.Figure"]
    words: Callable[[Any, Settings], str]
