"""A whole experiment at the smallest size, by the verbs themselves, stage by stage."""

from accelerated_smoothing import cli

IMAGES = {"test": ":20", "train": ":200"}


def run(words: str) -> None:
    assert cli.main(words.split()) == 0, words


def counting(sigma: float, split: str, purpose: str, shards: int, sizes: str, seed: int = 0) -> None:
    folder = f"results/counts/sigma{sigma}/{split}-{purpose}"
    for shard in range(shards):
        run(
            f"count --base results/base/sigma{sigma}.safetensors --images results/data/{split}.npz --sigma {sigma} "
            f"--slice {IMAGES[split]} --shard {shard}/{shards} --purpose {purpose} --sizes {sizes} --seed {seed} "
            f"--threads 1 --output {folder}/{shard}.npz"
        )
    run(f"gather {' '.join(f'{folder}/{shard}.npz' for shard in range(shards))} --output {folder}.npz")


def certificates(sigma: float, lr: float = 0.001) -> None:
    counts, log = f"results/counts/sigma{sigma}", f"results/certificates/sigma{sigma}"
    run(
        f"train-surrogate --images results/data/train.npz --slice {IMAGES['train']} "
        f"--counts {counts}/train-estimation.npz --depth 8 --epochs 15 --batch-size 20 --lr {lr} "
        f"--threads 1 --output results/surrogates/sigma{sigma}/resnet8.safetensors"
    )
    run(
        f"certify cohen --n 200 --selection {counts}/test-selection.npz --estimation {counts}/test-estimation.npz "
        f"--output {log}/cohen.tsv"
    )
    run(
        f"certify accelerated --method resnet8 --n 200 --depth 8 --selection {counts}/test-selection.npz "
        f"--images results/data/test.npz --slice {IMAGES['test']} "
        f"--surrogate results/surrogates/sigma{sigma}/resnet8.safetensors "
        f"--output {log}/resnet8.tsv"
    )


def tables() -> None:
    logs = [
        f"results/certificates/sigma{sigma}/{method}.tsv" for sigma in (0.25, 0.5) for method in ("cohen", "resnet8")
    ]
    for number in (1, 3):
        run(f"table {number} {' '.join(logs)} --radii 0.1 0.25 --error-radius 0 --output results/table{number}.csv")
    run("table 4 results/counts/sigma0.25/test-variance.npz --output results/table4.csv")
    run(f"figure 3 {' '.join(logs)} --output results/figure3.svg")


def everything() -> None:
    run("data digits --train results/data/train.npz --test results/data/test.npz")
    for sigma in (0.25, 0.5):
        run(
            f"train-base gaussian --train results/data/train.npz --test results/data/test.npz --sigma {sigma} "
            f"--arch resnet8 --epochs 8 --batch-size 64 --lr 0.05 --step-size 3 --crop 1 --no-flip "
            f"--threads 1 --output results/base/sigma{sigma}.safetensors"
        )
        counting(sigma, "test", "selection", 1, "100")
        counting(sigma, "test", "estimation", 2, "50 200")
        counting(sigma, "train", "estimation", 1, "50")
        certificates(sigma)
    counting(0.25, "test", "variance", 1, "20 40 60")
    tables()
