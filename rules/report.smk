rule notebook:
    input:
        evidence_of_notebook,
        source="notebooks/{notebook}.ipynb",
    output:
        executed=f"{R}/notebooks/{{notebook}}.ipynb",
        page=f"{R}/notebooks/{{notebook}}.html",
    log:
        f"{R}/logs/notebooks/{{notebook}}.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=lambda wildcards, input: digest("execute_notebook", source=input.source),
        reads=evidence_of_notebook,
        parameters=lambda wildcards: {
            "table1": [f"results={R}"],
            "image": [
                f"results={R}",
                f"sigma={CONFIG.figure_sigmas[0]}",
                "image=0",
                f"reference={CONFIG.reference}",
                f"methods=[{', '.join(CONFIG.methods)}]",
            ],
        }[wildcards.notebook],
    shell:
        "exec python -m accelerated_smoothing notebook {input.source} --parameters {params.parameters:q} "
        "--reads {params.reads} --output {output.executed} 2> {log}"


# Both are targets by their own names, too: `snakemake crate`, `snakemake archive`.
rule crate:
    input:
        TABLES,
        FIGURES,
        NOTEBOOKS,
    output:
        f"{R}/ro-crate-metadata.json",
    log:
        f"{R}/logs/crate.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=digest("crate"),
        workflow=fingerprint,
    shell:
        "exec python -m accelerated_smoothing crate {input} --output {output} 2> {log}"


rule archive:
    input:
        f"{R}/ro-crate-metadata.json",
    output:
        f"{R}/crate.zip",
    log:
        f"{R}/logs/archive.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=digest("archive"),
    shell:
        "exec python -m accelerated_smoothing archive {input} --output {output} 2> {log}"
