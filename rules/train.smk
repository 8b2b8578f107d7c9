rule base:
    input:
        train=f"{R}/data/train.npz",
        test=f"{R}/data/test.npz",
    output:
        weights=f"{R}/base/sigma{{sigma}}.safetensors",
        epochs=f"{R}/base/sigma{{sigma}}.csv",
    log:
        f"{R}/logs/base/sigma{{sigma}}.log",
    conda:
        "../envs/models.yaml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000,
        runtime=runtime("base"),
    params:
        code=digest("train_base", way="gaussian", noise="gaussian"),
        seed=CONFIG.seed,
        settings=flags(CONFIG.base),
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing train-base gaussian --train {input.train} --test {input.test} --sigma {wildcards.sigma} --seed {params.seed} "
        "{params.settings} {params.compute} --output {output.weights} 2> {log}"


rule imported_base:
    input:
        checkpoint=lambda wildcards: CONFIG.checkpoints[float(wildcards.sigma)],
        images=f"{R}/data/train.npz",
    output:
        weights=f"{R}/base/sigma{{sigma}}.safetensors",
    log:
        f"{R}/logs/base/sigma{{sigma}}.log",
    wildcard_constraints:
        sigma="|".join(map(str, CONFIG.checkpoints)) or "none",
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=8000,
        runtime=10,
    params:
        code=digest("import_base"),
    shell:
        "exec python -m accelerated_smoothing import-base {input.checkpoint:q} --images {input.images} --sigma {wildcards.sigma} "
        "--output {output.weights} 2> {log}"


ruleorder: imported_base > base


rule surrogate:
    input:
        images=f"{R}/data/train.npz",
        counts=f"{R}/counts/sigma{{sigma}}/train-estimation.npz",
    output:
        weights=f"{R}/surrogates/sigma{{sigma}}/resnet{{depth}}.safetensors",
        epochs=f"{R}/surrogates/sigma{{sigma}}/resnet{{depth}}.csv",
    log:
        f"{R}/logs/surrogates/sigma{{sigma}}/resnet{{depth}}.log",
    conda:
        "../envs/models.yaml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000,
        runtime=runtime("surrogates/resnet{depth}"),
    params:
        code=digest("train_surrogate"),
        seed=CONFIG.seed,
        slice=CONFIG.dataset.train,
        settings=flags(CONFIG.surrogate),
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing train-surrogate --images {input.images} --slice={params.slice} --counts {input.counts} "
        "--depth {wildcards.depth} --seed {params.seed} {params.settings} {params.compute} "
        "--output {output.weights} 2> {log}"
