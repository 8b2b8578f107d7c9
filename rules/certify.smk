rule certificates:
    input:
        unpack(jobs.evidence),
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
        code=jobs.code("certify"),
        experiment=jobs.name,
        certifier=jobs.certifier,
        settings=jobs.method,
        evidence=jobs.as_flags(jobs.evidence),
        slice=jobs.setting("dataset", "test"),
        alpha=jobs.setting("alpha"),
        n0=jobs.setting("n0"),
    shell:
        "exec python -m accelerated_smoothing certify {params.certifier} --experiment {params.experiment} "
        "--method {wildcards.method} {params.settings} {params.evidence} --slice={params.slice} "
        "--alpha {params.alpha} --n0 {params.n0} --output {output} 2> {log}"


# In place of counting N draws of each image: draws are made when the method asks for them.
rule certified_online:
    input:
        unpack(jobs.evidence),
        base=jobs.base,
        images=jobs.pixels("test"),
    output:
        f"{R}/{{home}}certificates/sigma{{sigma}}/{{method}}.tsv",
    log:
        f"{R}/logs/{{home}}certificates/sigma{{sigma}}/{{method}}.log",
    wildcard_constraints:
        home=anyof(jobs.drawn_online),
        method=anyof(
            method for methods in jobs.drawn_online.values() for method in methods
        ),
    conda:
        "../envs/models.yaml"
    threads: jobs.main.compute.threads
    resources:
        **jobs.with_gpu("certificates/{method}"),
    params:
        code=jobs.code("certify-online", "base"),
        experiment=jobs.name,
        certifier=jobs.certifier,
        settings=jobs.method,
        evidence=jobs.as_flags(jobs.evidence),
        slice=jobs.setting("dataset", "test"),
        sizes=lambda wildcards: jobs.experiment(wildcards).sampling.counted(),
        passes=jobs.passes,
        alpha=jobs.setting("alpha"),
        n0=jobs.setting("n0"),
        device=jobs.device,
        compute=jobs.compute,
    shell:
        "exec python -m accelerated_smoothing certify-online {params.certifier} --experiment {params.experiment} "
        "--method {wildcards.method} {params.settings} {params.evidence} --base {input.base} --images {input.images} "
        "--slice={params.slice} --sizes {params.sizes} {params.passes} --alpha {params.alpha} "
        "--n0 {params.n0} {params.compute} --output {output} 2> {log}"


ruleorder: certified_online > certificates


rule timing:
    input:
        unpack(jobs.timed),
        images=jobs.pixels("test"),
    output:
        f"{R}/{{home}}timing.tsv",
    log:
        f"{R}/logs/{{home}}timing.log",
    conda:
        "../envs/models.yaml"
    # Alone on a machine, since other jobs would be measured too; on a cluster like any other job.
    threads: jobs.cores or jobs.main.compute.threads
    resources:
        **jobs.with_gpu("timing"),
    params:
        code=jobs.code("time", "base", "backbone", "surrogates"),
        seed=jobs.main.seed,
        slice=jobs.setting("dataset", "test"),
        noise=jobs.setting("noise"),
        networks=jobs.as_flags(jobs.timed),
        alpha=jobs.setting("alpha"),
        n0=jobs.setting("n0"),
        timing=jobs.section("timing"),
        sampling=jobs.section("sampling"),
        device=jobs.device,
        compute=jobs.compute,
    shell:
        "exec python -m accelerated_smoothing time {params.networks} --images {input.images} --slice={params.slice} "
        "--noise {params.noise} --seed {params.seed} --alpha {params.alpha} --n0 {params.n0} "
        "{params.timing} {params.sampling} {params.compute} --output {output} 2> {log}"


rule online:
    input:
        unpack(jobs.online_evidence),
        base=jobs.base,
        images=jobs.pixels("test"),
    output:
        f"{R}/{{home}}online/sigma{{sigma}}.tsv",
    log:
        f"{R}/logs/{{home}}online/sigma{{sigma}}.log",
    conda:
        "../envs/models.yaml"
    threads: jobs.cores or jobs.main.compute.threads  # alone on a machine, as in `timing`
    resources:
        **jobs.with_gpu("online"),
    params:
        code=jobs.code("online", "base"),
        slice=jobs.setting("dataset", "test"),
        methods=jobs.online,
        evidence=jobs.as_flags(jobs.online_evidence),
        number=jobs.setting("timing", "online"),
        alpha=jobs.setting("alpha"),
        n0=jobs.setting("n0"),
        passes=jobs.passes,
        device=jobs.device,
        compute=jobs.compute,
    shell:
        "exec python -m accelerated_smoothing online --methods {params.methods:q} --count {params.number} "
        "--base {input.base} --images {input.images} --slice={params.slice} {params.evidence} "
        "--alpha {params.alpha} --n0 {params.n0} {params.passes} {params.compute} --output {output} 2> {log}"


rule attack:
    input:
        unpack(jobs.backbone),
        base=jobs.base,
        images=jobs.pixels("test"),
        certificates=jobs.reference,
    output:
        f"{R}/{{home}}attacks/sigma{{sigma}}.tsv",
    log:
        f"{R}/logs/{{home}}attacks/sigma{{sigma}}.log",
    wildcard_constraints:
        home=anyof(home for home in jobs.limits if "attacks" in jobs.limits[home]),
    conda:
        "../envs/models.yaml"
    threads: jobs.main.compute.threads
    resources:
        **jobs.with_gpu("attacks"),
    params:
        code=jobs.code("attack", "base", "backbone"),
        experiment=jobs.name,
        seed=jobs.main.seed,
        slice=jobs.setting("dataset", "test"),
        noise=jobs.setting("noise"),
        alpha=jobs.setting("alpha"),
        epsilons=jobs.setting("radii"),
        backbone=jobs.as_flags(jobs.backbone),
        settings=jobs.section("attack"),
        passes=jobs.passes,
        device=jobs.device,
        compute=jobs.compute,
    shell:
        "exec python -m accelerated_smoothing attack --experiment {params.experiment} --base {input.base} "
        "{params.backbone} --images {input.images} --certificates {input.certificates} --slice={params.slice} "
        "--sigma {wildcards.sigma} --noise {params.noise} --seed {params.seed} --alpha {params.alpha} "
        "--epsilons {params.epsilons} {params.passes} {params.settings} {params.compute} "
        "--output {output} 2> {log}"
