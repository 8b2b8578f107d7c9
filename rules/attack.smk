rule attack:
    input:
        unpack(backbone),
        base=f"{R}/{{home}}base/sigma{{sigma}}.safetensors",
        images=f"{R}/data/test.npz",
        certificates=lambda wildcards: (
            f"{R}/{wildcards.home}certificates/sigma{wildcards.sigma}/{of(wildcards).reference}.tsv"
        ),
    output:
        f"{R}/{{home}}attacks/sigma{{sigma}}.tsv",
    log:
        f"{R}/logs/{{home}}attacks/sigma{{sigma}}.log",
    wildcard_constraints:
        home=anyof(home for home in EXPERIMENTS if "attacks" in LIMITS[home]),
    conda:
        "../envs/models.yaml"
    threads: CONFIG.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000,
        runtime=runtime("attacks"),
    params:
        code=digest("attack"),
        seed=CONFIG.seed,
        slice=lambda wildcards: of(wildcards).dataset.test,
        noise=lambda wildcards: of(wildcards).noise,
        alpha=lambda wildcards: of(wildcards).alpha,
        epsilons=lambda wildcards: of(wildcards).radii,
        backbone=lambda wildcards: " ".join(
            f"--{name} {path}" for name, path in backbone(wildcards).items()
        ),
        settings=lambda wildcards: flags(of(wildcards).attack),
        precision=lambda wildcards: of(wildcards).sampling.precision,
        device=CONFIG.compute.device,
        compute=untracked(CONFIG.compute),
    shell:
        "exec python -m accelerated_smoothing attack --base {input.base} {params.backbone} --images {input.images} --certificates {input.certificates} --slice={params.slice} "
        "--sigma {wildcards.sigma} --noise {params.noise} --seed {params.seed} --alpha {params.alpha} --epsilons {params.epsilons} "
        "--precision {params.precision} {params.settings} {params.compute} --output {output} 2> {log}"
