# Files of base classifiers that are imported and not trained, without their suffix.
CHECKPOINTS = {
    f"{home}base/sigma{sigma}": file
    for home, made in EXPERIMENTS.items()
    for sigma, file in made.checkpoints.items()
}


rule base:
    input:
        unpack(start),
        train=seen("train"),
        test=seen("test"),
    output:
        weights=f"{R}/{{home}}base/sigma{{sigma}}.safetensors",
        epochs=f"{R}/{{home}}base/sigma{{sigma}}.csv",
    log:
        f"{R}/logs/{{home}}base/sigma{{sigma}}.log",
    conda:
        "../envs/models.yaml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000,
        runtime=runtime("base"),
    params:
        code=lambda wildcards: digest(
            "train_base", way=of(wildcards).training, noise=of(wildcards).noise
        ),
        seed=CONFIG.seed,
        way=lambda wildcards: of(wildcards).training,
        noise=lambda wildcards: of(wildcards).noise,
        initial=lambda wildcards: " ".join(
            f"--{name} {path}" for name, path in start(wildcards).items()
        ),
        settings=lambda wildcards: flags(of(wildcards).base),
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing train-base {params.way} --train {input.train} --test {input.test} {params.initial} "
        "--sigma {wildcards.sigma} --noise {params.noise} --seed {params.seed} {params.settings} {params.compute} --output {output.weights} 2> {log}"


rule imported_base:
    input:
        checkpoint=lambda wildcards: CHECKPOINTS[wildcards.imported],
        images=f"{R}/data/train.npz",
    output:
        weights=f"{R}/{{imported}}.safetensors",
    log:
        f"{R}/logs/{{imported}}.log",
    wildcard_constraints:
        imported=anyof(CHECKPOINTS),
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=8000,
        runtime=10,
    params:
        code=digest("import_base"),
        sigma=lambda wildcards: wildcards.imported.rpartition("sigma")[2],
    shell:
        "exec python -m accelerated_smoothing import-base {input.checkpoint:q} --images {input.images} --sigma {params.sigma} "
        "--output {output.weights} 2> {log}"


ruleorder: imported_base > base


rule embeddings:
    input:
        base=f"{R}/{{home}}base/sigma{{sigma}}.safetensors",
        train=f"{R}/data/train.npz",
        test=f"{R}/data/test.npz",
    output:
        train=f"{R}/{{home}}embeddings/sigma{{sigma}}/train.npz",
        test=f"{R}/{{home}}embeddings/sigma{{sigma}}/test.npz",
    log:
        f"{R}/logs/{{home}}embeddings/sigma{{sigma}}.log",
    conda:
        "../envs/models.yaml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000,
        runtime=runtime("embeddings"),
    params:
        code=digest("embed"),
        folder=subpath(output.train, parent=True),
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing embed --base {input.base} --train {input.train} --test {input.test} "
        "{params.compute} --output {params.folder} 2> {log}"


rule surrogate:
    input:
        images=seen("train"),
        counts=f"{R}/{{home}}counts/sigma{{sigma}}/train-estimation.npz",
    output:
        weights=f"{R}/{{home}}surrogates/sigma{{sigma}}/resnet{{depth}}.safetensors",
        epochs=f"{R}/{{home}}surrogates/sigma{{sigma}}/resnet{{depth}}.csv",
    log:
        f"{R}/logs/{{home}}surrogates/sigma{{sigma}}/resnet{{depth}}.log",
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
        slice=lambda wildcards: of(wildcards).dataset.train,
        settings=lambda wildcards: flags(of(wildcards).surrogate),
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing train-surrogate --images {input.images} --slice={params.slice} --counts {input.counts} "
        "--depth {wildcards.depth} --seed {params.seed} {params.settings} {params.compute} "
        "--output {output.weights} 2> {log}"
