"""Which processes of the package work on which results."""

from pathlib import Path

import psutil


def working(verb: str, results: Path) -> list[psutil.Process]:
    """Processes of a verb that were told a file below a folder, with their words and times in `info`.

    One that ends while it is asked has no words, and is passed over.
    """

    def works_below(where: str | None, words: list[str] | None) -> bool:
        named = (words or [])[1:4] == ["-m", "accelerated_smoothing", verb]
        return bool(where and words and named) and any(Path(where, word).is_relative_to(results) for word in words)

    processes = psutil.process_iter(["cwd", "cmdline", "cpu_times"])
    return [process for process in processes if works_below(process.info["cwd"], process.info["cmdline"])]
