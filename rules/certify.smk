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
        runtime=30,
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
        base=f"{R}/base/sigma{CONFIG.timing.sigma}.safetensors",
        images=f"{R}/data/test.npz",
        surrogates=[
            f"{R}/surrogates/sigma{CONFIG.timing.sigma}/resnet{depth}.safetensors"
            for depth in CONFIG.depths()
        ],
    output:
        f"{R}/timing.tsv",
    log:
        f"{R}/logs/timing.log",
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
        code=digest("time_certificates", noise=CONFIG.noise),
        seed=CONFIG.seed,
        slice=CONFIG.dataset.test,
        noise=CONFIG.noise,
        alpha=CONFIG.alpha,
        n0=CONFIG.n0,
        timing=flags(CONFIG.timing),
        sampling=flags(CONFIG.sampling),
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing time --base {input.base} --images {input.images} --slice={params.slice} "
        "--surrogates {input.surrogates} --noise {params.noise} --seed {params.seed} --alpha {params.alpha} --n0 {params.n0} "
        "{params.timing} {params.sampling} {params.compute} --output {output} 2> {log}"
