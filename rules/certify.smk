rule certificates:
    input:
        unpack(evidence),
    output:
        f"{R}/{{home}}certificates/sigma{{sigma}}/{{method}}.tsv",
    log:
        f"{R}/logs/{{home}}certificates/sigma{{sigma}}/{{method}}.log",
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=8000,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=lambda wildcards: digest(
            "certify", certifier=of(wildcards).methods[wildcards.method]["certifier"]
        ),
        certifier=lambda wildcards: of(wildcards).methods[wildcards.method]["certifier"],
        settings=lambda wildcards: flags(of(wildcards).method(wildcards.method)),
        evidence=lambda wildcards, input: " ".join(
            f"--{need} {path}" for need, path in input.items()
        ),
        slice=lambda wildcards: of(wildcards).dataset.test,
        alpha=lambda wildcards: of(wildcards).alpha,
        n0=lambda wildcards: of(wildcards).n0,
    shell:
        "exec python -m accelerated_smoothing certify {params.certifier} {params.settings} {params.evidence} --slice={params.slice} "
        "--alpha {params.alpha} --n0 {params.n0} --output {output} 2> {log}"


rule timing:
    input:
        unpack(timed),
        images=f"{R}/data/test.npz",
    output:
        f"{R}/{{home}}timing.tsv",
    log:
        f"{R}/logs/{{home}}timing.log",
    conda:
        "../envs/models.yaml"
    # Alone on a machine, since other jobs would be measured too; on a cluster like any other job.
    threads:
        (not workflow.remote_exec and workflow.resource_settings.cores)
        or CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000,
        runtime=runtime("timing"),
    params:
        code=lambda wildcards: digest("time_certificates", noise=of(wildcards).noise),
        seed=CONFIG.seed,
        slice=lambda wildcards: of(wildcards).dataset.test,
        noise=lambda wildcards: of(wildcards).noise,
        networks=lambda wildcards, input: " ".join(
            f"--{name} {paths}" for name, paths in input.items() if name != "images"
        ),
        alpha=lambda wildcards: of(wildcards).alpha,
        n0=lambda wildcards: of(wildcards).n0,
        timing=lambda wildcards: flags(of(wildcards).timing),
        sampling=lambda wildcards: flags(of(wildcards).sampling),
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing time {params.networks} --images {input.images} --slice={params.slice} "
        "--noise {params.noise} --seed {params.seed} --alpha {params.alpha} --n0 {params.n0} "
        "{params.timing} {params.sampling} {params.compute} --output {output} 2> {log}"
