"""The overhead of a job on a cluster: sixty trivial shards, with SLURM and without.

    tests/slurm/cluster.sh start && python -m benchmarks.cluster

The time of one shard is the overhead of a level of the graph, since each level waits for the one before. The time of
the other shards is the overhead of each further job.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from accelerated_smoothing import config
from accelerated_smoothing.workflow import plan

ROOT = Path(__file__).parents[1]
RESULTS = "results/overhead"
SHARDS = 60
SETTINGS = [f"results={RESULTS}", f"dataset={{test: ':{SHARDS}'}}", "shards={minutes: 1, rate: 4.17}"]  # 250 draws each
COMMAND = ["-m", "snakemake", "--configfile", "tests/workflow/tiny.yaml", "--config", *SETTINGS, "--quiet", "all"]
LEVELS = ("base", "shard", "surrogate", "certificates")  # of Table I; the other jobs start at once


def run(shards: int, *words: str) -> float:
    """Return the seconds of building so many shards, with no counts at the start."""
    shutil.rmtree(ROOT / RESULTS / "counts", ignore_errors=True)
    targets = [f"{RESULTS}/counts/sigma0.25/test-estimation/{shard}.npz" for shard in range(shards)]
    start = time.perf_counter()
    subprocess.run([sys.executable, *COMMAND, *words, "--", *targets], cwd=ROOT, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the overhead with and without SLURM, and what it adds up to for the paper's Table I."""
    targets = [f"{RESULTS}/base/sigma0.25.safetensors"]
    subprocess.run([sys.executable, *COMMAND, "--cores", "2", "--", *targets], cwd=ROOT, check=True)
    costs = {}
    print("way,one shard,sixty shards,each further job")
    for way, words in {"local": ["--cores", "2"], "slurm": ["--profile", "slurm"]}.items():
        one, sixty = run(1, *words), run(SHARDS, *words)
        costs[way] = one, (sixty - one) / (SHARDS - 1)
        print(f"{way},{one:.1f} s,{sixty:.1f} s,{costs[way][1]:.2f} s", flush=True)
    shutil.rmtree(ROOT / RESULTS)

    paper = config.Config()
    stages = [
        stage for stage in plan.stages(paper.experiments()) if stage.name not in ("timing", "counts/train-variance")
    ]
    jobs = sum(stage.jobs for stage in stages) + len(paper.sigmas) * len(paper.rows)
    hours = sum(stage.cost for stage in stages) / paper.shards.rate / 3600
    level, job = (slurm - local for slurm, local in zip(costs["slurm"], costs["local"], strict=True))
    print(
        f"Table I of the paper: {jobs} jobs in {len(LEVELS)} levels, {hours:.0f} GPU-hours; more than a local run by "
        f"{len(LEVELS)} x {level:.0f} s, and {jobs} x {job:.1f} s if two run at once: "
        f"{(len(LEVELS) * level + jobs * job) / 3600:.2f} h"
    )


if __name__ == "__main__":
    main()
