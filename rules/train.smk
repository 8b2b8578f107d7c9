rule base:
    input:
        unpack(jobs.sources),
        train=jobs.images("train"),
        test=jobs.images("test"),
    output:
        weights=f"{R}/{{home}}base/sigma{{sigma}}.safetensors",
        epochs=f"{R}/{{home}}base/sigma{{sigma}}.csv",
    log:
        f"{R}/logs/{{home}}base/sigma{{sigma}}.log",
    conda:
        "../envs/models.yaml"
    threads: jobs.main.compute.threads
    resources:
        **jobs.with_gpu("base"),
    params:
        code=jobs.code("train-base", "base", "teacher"),
        seed=jobs.seed,
        way=jobs.setting("training"),
        noise=jobs.setting("noise"),
        sources=jobs.as_flags(jobs.sources),
        settings=jobs.section("base"),
        device=jobs.device,
        compute=jobs.compute,
    shell:
        "exec python -m accelerated_smoothing train-base {params.way} --train {input.train} --test {input.test} "
        "{params.sources} --sigma {wildcards.sigma} --noise {params.noise} --seed {params.seed} {params.settings} "
        "{params.compute} --output {output.weights} 2> {log}"


rule imported_base:
    input:
        checkpoint=jobs.imported("file"),
        images=jobs.pixels("train"),
    output:
        weights=f"{R}/{{imported}}.safetensors",
    log:
        f"{R}/logs/{{imported}}.log",
    wildcard_constraints:
        imported=anyof(jobs.checkpoints),
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=8000,
        runtime=10,
    params:
        code=jobs.code_of_import,
        arch=jobs.imported("arch"),
        sigma=jobs.imported("sigma"),
    shell:
        "exec python -m accelerated_smoothing import-base {input.checkpoint:q} --arch {params.arch} "
        "--images {input.images} --sigma {params.sigma} --output {output.weights} 2> {log}"


rule assembled_base:
    input:
        unpack(jobs.sources),
    output:
        weights=f"{R}/{{home}}base/sigma{{sigma}}.safetensors",
    log:
        f"{R}/logs/{{home}}base/sigma{{sigma}}.log",
    wildcard_constraints:
        home=anyof(jobs.assembled),
    localrule: True
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=jobs.code_of_assembly,
        made=jobs.assembly,
    shell:
        "exec python -m accelerated_smoothing assemble {input.members} {params.made} --output {output.weights} "
        "2> {log}"


ruleorder: imported_base > assembled_base > base


rule embeddings:
    input:
        base=f"{R}/{{home}}base/sigma{{sigma}}.safetensors",
        train=jobs.pixels("train"),
        test=jobs.pixels("test"),
    output:
        train=f"{R}/{{home}}embeddings/sigma{{sigma}}/train.npz",
        test=f"{R}/{{home}}embeddings/sigma{{sigma}}/test.npz",
    log:
        f"{R}/logs/{{home}}embeddings/sigma{{sigma}}.log",
    conda:
        "../envs/models.yaml"
    threads: jobs.main.compute.threads
    resources:
        **jobs.with_gpu("embeddings"),
    params:
        code=jobs.code("embed", "base"),
        folder=subpath(output.train, parent=True),
        device=jobs.device,
        compute=jobs.compute,
    shell:
        "exec python -m accelerated_smoothing embed --base {input.base} --train {input.train} --test {input.test} "
        "{params.compute} --output {params.folder} 2> {log}"


rule surrogate:
    input:
        unpack(jobs.surrogate_base),
        images=jobs.images("train"),
        counts=jobs.counts("estimation", "train"),
    output:
        weights=f"{R}/{{home}}surrogates/sigma{{sigma}}/resnet{{depth}}.safetensors",
        epochs=f"{R}/{{home}}surrogates/sigma{{sigma}}/resnet{{depth}}.csv",
    log:
        f"{R}/logs/{{home}}surrogates/sigma{{sigma}}/resnet{{depth}}.log",
    conda:
        "../envs/models.yaml"
    threads: jobs.main.compute.threads
    resources:
        **jobs.with_gpu("surrogates/resnet{depth}"),
    params:
        code=jobs.code("train-surrogate", "surrogate"),
        seed=jobs.seed,
        slice=jobs.setting("dataset", "train"),
        base=jobs.as_flags(jobs.surrogate_base),
        settings=jobs.surrogate,
        device=jobs.device,
        compute=jobs.compute,
    shell:
        "exec python -m accelerated_smoothing train-surrogate --images {input.images} --slice={params.slice} "
        "--counts {input.counts} --depth {wildcards.depth} --seed {params.seed} {params.base} {params.settings} "
        "{params.compute} --output {output.weights} 2> {log}"


# What surrogates predict: for test images, and for the training images that they were not trained on.
rule predictions:
    input:
        images=jobs.images(),
        surrogates=jobs.surrogates,
    output:
        f"{R}/{{home}}surrogates/sigma{{sigma}}/predictions-{{split}}.npz",
    log:
        f"{R}/logs/{{home}}surrogates/sigma{{sigma}}/predictions-{{split}}.log",
    conda:
        "../envs/models.yaml"
    threads: jobs.main.compute.threads
    resources:
        mem_mb=16000,
        runtime=60,
    params:
        code=jobs.code("predict", "surrogates"),
        slice=lambda wildcards: jobs.setting("dataset", wildcards.split)(wildcards),
        held_out=lambda wildcards: (
            "--held-out" if wildcards.split == "train" else "--no-held-out"
        ),
        threads=jobs.threads,
    shell:
        "exec python -m accelerated_smoothing predict {input.surrogates} --images {input.images} "
        "--slice={params.slice} {params.held_out} {params.threads} --output {output} 2> {log}"


rule belief:
    input:
        predictions=f"{R}/{{home}}surrogates/sigma{{sigma}}/predictions-train.npz",
        counts=jobs.counts("estimation", "train"),
    output:
        f"{R}/{{home}}surrogates/sigma{{sigma}}/belief.npz",
    log:
        f"{R}/logs/{{home}}surrogates/sigma{{sigma}}/belief.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=jobs.code_of("calibrate"),
    shell:
        "exec python -m accelerated_smoothing calibrate --predictions {input.predictions} --counts {input.counts} "
        "--output {output} 2> {log}"
