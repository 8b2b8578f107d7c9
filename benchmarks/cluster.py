"""What a job costs on a cluster beyond its work: sixty trivial shards, with SLURM and without.

    tests/slurm/cluster.sh start && python -m benchmarks.cluster

One shard tells what a level of the graph costs, since each waits for the one before; the rest, what a job more does.
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
LEVELS = ("base", "shard", "surrogate", "certificates")  # of Table I; what follows and goes between runs at once


def run(shards: int, *words: str) -> float:
    """Seconds for some shards, from nothing counted on."""
    shutil.rmtree(ROOT / RESULTS / "counts", ignore_errors=True)
    targets = [f"{RESULTS}/counts/sigma0.25/test-estimation/{shard}.npz" for shard in range(shards)]
    begun = time.perf_counter()
    subprocess.run([sys.executable, *COMMAND, *words, "--", *targets], cwd=ROOT, check=True)
    return time.perf_counter() - begun


def main() -> None:
    targets = [f"{RESULTS}/base/sigma0.25.safetensors"]
    subprocess.run([sys.executable, *COMMAND, "--cores", "2", "--", *targets], cwd=ROOT, check=True)
    costs = {}
    print("how,one shard,sixty shards,a job more")
    for how, words in {"local": ["--cores", "2"], "slurm": ["--profile", "slurm"]}.items():
        one, sixty = run(1, *words), run(SHARDS, *words)
        costs[how] = one, (sixty - one) / (SHARDS - 1)
        print(f"{how},{one:.1f} s,{sixty:.1f} s,{costs[how][1]:.2f} s", flush=True)
    shutil.rmtree(ROOT / RESULTS)

    paper = config.Config()
    stages = [
        stage for stage in plan.stages(paper.experiments()) if stage.name not in ("timing", "counts/train-variance")
    ]
    jobs = sum(stage.jobs for stage in stages) + len(paper.sigmas) * len(paper.methods)
    hours = sum(stage.cost for stage in stages) / paper.shards.rate / 3600
    level, job = (slurm - local for slurm, local in zip(costs["slurm"], costs["local"], strict=True))
    print(
        f"Table I of the paper: {jobs} jobs in {len(LEVELS)} levels, {hours:.0f} GPU-hours; beyond a local run "
        f"{len(LEVELS)} x {level:.0f} s, and {jobs} x {job:.1f} s if two run at once: "
        f"{(len(LEVELS) * level + jobs * job) / 3600:.2f} h"
    )


if __name__ == "__main__":
    main()
