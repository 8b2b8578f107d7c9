rule shard:
    input:
        base=f"{R}/base/sigma{{sigma}}.safetensors",
        images=f"{R}/data/{{split}}.npz",
    output:
        f"{R}/counts/sigma{{sigma}}/{{split}}-{{purpose}}/{{shard}}.npz",
    log:
        f"{R}/logs/counts/sigma{{sigma}}/{{split}}-{{purpose}}/{{shard}}.log",
    conda:
        "../envs/models.yaml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000,
        runtime=runtime("counts/{split}-{purpose}"),
    params:
        code=digest("count"),
        seed=CONFIG.seed,
        slice=lambda wildcards: getattr(CONFIG.dataset, wildcards.split),
        images=lambda wildcards: (
            f"--spread {CONFIG.variance.images}"
            if wildcards.purpose == "variance"
            else ""
        ),
        shards=lambda wildcards: counting(wildcards.split, wildcards.purpose).shards,
        settings=lambda wildcards: flags(
            CONFIG.sampling.model_copy(
                update={"sizes": counting(wildcards.split, wildcards.purpose).sizes}
            )
        ),
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing count --base {input.base} --images {input.images} --slice={params.slice} {params.images} "
        "--shard {wildcards.shard}/{params.shards} --sigma {wildcards.sigma} --purpose {wildcards.purpose} "
        "--seed {params.seed} {params.settings} {params.compute} --output {output} 2> {log}"


rule counts:
    input:
        lambda wildcards: [
            f"{R}/counts/sigma{wildcards.sigma}/{wildcards.split}-{wildcards.purpose}/{shard}.npz"
            for shard in range(counting(wildcards.split, wildcards.purpose).shards)
        ],
    output:
        f"{R}/counts/sigma{{sigma}}/{{split}}-{{purpose}}.npz",
    log:
        f"{R}/logs/counts/sigma{{sigma}}/{{split}}-{{purpose}}.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=digest("gather"),
    shell:
        "exec python -m accelerated_smoothing gather {input} --output {output} 2> {log}"
