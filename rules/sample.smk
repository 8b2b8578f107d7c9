rule sigmas:
    input:
        base=f"{R}/{{home}}base/sigma{{sigma}}.safetensors",
        images=seen("test"),
    output:
        f"{R}/{{home}}sigmas/sigma{{sigma}}/{{way}}.npz",
    log:
        f"{R}/logs/{{home}}sigmas/sigma{{sigma}}/{{way}}.log",
    conda:
        "../envs/models.yaml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000,
        runtime=runtime("sigmas/{way}"),
    params:
        code=lambda wildcards: digest(
            "choose_sigmas", way=wildcards.way, noise=of(wildcards).noise
        ),
        seed=CONFIG.seed,
        slice=lambda wildcards: of(wildcards).dataset.test,
        noise=lambda wildcards: of(wildcards).noise,
        settings=lambda wildcards: flags(of(wildcards).chooser(wildcards.way)),
        at=lambda wildcards: of(wildcards).chosen()[wildcards.way],
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing choose {wildcards.way} --at {params.at} {params.settings} --base {input.base} "
        "--images {input.images} --slice={params.slice} --sigma {wildcards.sigma} --noise {params.noise} "
        "--seed {params.seed} {params.compute} --output {output} 2> {log}"


rule shard:
    input:
        unpack(chosen),
        base=f"{R}/{{home}}base/sigma{{sigma}}.safetensors",
        images=seen(),
    output:
        f"{R}/{{home}}counts/sigma{{sigma}}{{choice}}/{{split}}-{{purpose}}/{{shard}}.npz",
    log:
        f"{R}/logs/{{home}}counts/sigma{{sigma}}{{choice}}/{{split}}-{{purpose}}/{{shard}}.log",
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
        slice=lambda wildcards: getattr(of(wildcards).dataset, wildcards.split),
        images=lambda wildcards: (
            f"--spread {of(wildcards).variance.images}"
            if wildcards.purpose == "variance"
            else ""
        ),
        shards=lambda wildcards: counting(
            wildcards.home, wildcards.split, wildcards.purpose
        ).shards,
        noise=lambda wildcards: of(wildcards).noise,
        sigmas=lambda wildcards: (
            f"--sigmas {chosen(wildcards)['sigmas']} --at {re.search(r'[0-9]+$', wildcards.choice)[0]}"
            if wildcards.choice
            else ""
        ),
        settings=lambda wildcards: flags(
            of(wildcards).sampling.model_copy(
                update={
                    "sizes": counting(
                        wildcards.home, wildcards.split, wildcards.purpose
                    ).sizes
                }
            )
        ),
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing count --base {input.base} --images {input.images} --slice={params.slice} {params.images} "
        "--shard {wildcards.shard}/{params.shards} --sigma {wildcards.sigma} {params.sigmas} --noise {params.noise} --purpose {wildcards.purpose} "
        "--seed {params.seed} {params.settings} {params.compute} --output {output} 2> {log}"


rule counts:
    input:
        lambda wildcards: [
            f"{R}/{wildcards.home}counts/sigma{wildcards.sigma}{wildcards.choice}/{wildcards.split}-{wildcards.purpose}/{shard}.npz"
            for shard in range(
                counting(wildcards.home, wildcards.split, wildcards.purpose).shards
            )
        ],
    output:
        f"{R}/{{home}}counts/sigma{{sigma}}{{choice}}/{{split}}-{{purpose}}.npz",
    log:
        f"{R}/logs/{{home}}counts/sigma{{sigma}}{{choice}}/{{split}}-{{purpose}}.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=digest("gather"),
    shell:
        "exec python -m accelerated_smoothing gather {input} --output {output} 2> {log}"
