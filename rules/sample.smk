rule sigmas:
    input:
        unpack(jobs.neighbours),
        base=jobs.base,
        images=jobs.images("test"),
    output:
        f"{R}/{{home}}sigmas/sigma{{sigma}}/{{chooser}}.npz",
    log:
        f"{R}/logs/{{home}}sigmas/sigma{{sigma}}/{{chooser}}.log",
    conda:
        "../envs/models.yaml"
    threads: jobs.main.compute.threads
    resources:
        **jobs.with_gpu("sigmas/{chooser}"),
    params:
        code=jobs.code("choose", "base"),
        seed=jobs.main.seed,
        slice=jobs.setting("dataset", "test"),
        noise=jobs.setting("noise"),
        settings=jobs.chooser,
        train=jobs.as_flags(jobs.neighbours),
        at=jobs.chosen_at,
        device=jobs.device,
        compute=jobs.compute,
    shell:
        "exec python -m accelerated_smoothing choose {wildcards.chooser} --at {params.at} {params.settings} "
        "--base {input.base} --images {input.images} --slice={params.slice} {params.train} --sigma {wildcards.sigma} "
        "--noise {params.noise} --seed {params.seed} {params.compute} --output {output} 2> {log}"


rule shard:
    input:
        unpack(jobs.sigmas),
        base=jobs.base,
        images=jobs.images(),
    output:
        f"{R}/{{home}}counts/sigma{{sigma}}{{choice}}/{{split}}-{{purpose}}/{{shard}}.npz",
    log:
        f"{R}/logs/{{home}}counts/sigma{{sigma}}{{choice}}/{{split}}-{{purpose}}/{{shard}}.log",
    conda:
        "../envs/models.yaml"
    threads: jobs.main.compute.threads
    resources:
        **jobs.with_gpu("counts/{split}-{purpose}"),
    params:
        code=jobs.code("count", "base"),
        seed=jobs.seed,
        images=jobs.counted_images,
        shards=lambda wildcards: jobs.counting(wildcards).shards,
        noise=jobs.setting("noise"),
        sigmas=jobs.chosen,
        settings=jobs.sizes,
        device=jobs.device,
        compute=jobs.compute,
    shell:
        "exec python -m accelerated_smoothing count --base {input.base} --images {input.images} {params.images} "
        "--shard {wildcards.shard}/{params.shards} --sigma {wildcards.sigma} {params.sigmas} --noise {params.noise} "
        "--purpose {wildcards.purpose} --seed {params.seed} {params.settings} {params.compute} "
        "--output {output} 2> {log}"


rule counts:
    input:
        jobs.shards,
    output:
        f"{R}/{{home}}counts/sigma{{sigma}}{{choice}}/{{split}}-{{purpose}}.npz",
    log:
        f"{R}/logs/{{home}}counts/sigma{{sigma}}{{choice}}/{{split}}-{{purpose}}.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=jobs.code_of("gather"),
    shell:
        "exec python -m accelerated_smoothing gather {input} --output {output} 2> {log}"


# In place of counts and surrogates, where an experiment simulates them from published logs.
rule simulated:
    input:
        unpack(simulations.inputs),
    output:
        selection=f"{R}/{{home}}counts/sigma{{sigma}}/test-selection.npz",
        estimation=f"{R}/{{home}}counts/sigma{{sigma}}/test-estimation.npz",
        pilot=f"{R}/{{home}}counts/sigma{{sigma}}/test-pilot.npz",
        predictions=f"{R}/{{home}}surrogates/sigma{{sigma}}/predictions-test.npz",
        belief=f"{R}/{{home}}surrogates/sigma{{sigma}}/belief.npz",
    log:
        f"{R}/logs/{{home}}simulated/sigma{{sigma}}.log",
    wildcard_constraints:
        home=anyof(simulations.homes()),
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=jobs.code_of("simulate", noise=["gaussian"]),
        seed=jobs.main.seed,
        settings=simulations.settings,
    shell:
        "exec python -m accelerated_smoothing simulate {input.published:q} --sigma {wildcards.sigma} "
        "--seed {params.seed} {params.settings} --selection {output.selection} --estimation {output.estimation} "
        "--pilot {output.pilot} --predictions {output.predictions} --belief {output.belief} 2> {log}"


ruleorder: simulated > counts > predictions > belief
