report: "../resources/captions/workflow.rst"


rule notebook:
    input:
        evidence_of_notebook,
        source="notebooks/{notebook}.ipynb",
    output:
        executed=f"{R}/notebooks/{{notebook}}.ipynb",
        page=report(
            f"{R}/notebooks/{{notebook}}.html",
            caption="../resources/captions/notebook.rst",
            category="Notebooks",
            labels={"notebook": "{notebook}"},
        ),
    log:
        f"{R}/logs/notebooks/{{notebook}}.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        # Not from `input`: Snakemake does not track what is computed from that.
        code=lambda wildcards: digest(
            "execute_notebook", source=f"notebooks/{wildcards.notebook}.ipynb"
        ),
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


rule report:
    input:
        tables=TABLES,
        markdown=[path.replace(".csv", ".md") for path in TABLES],
        versus=[path.replace(".csv", "_vs_paper.csv") for path in TABLES],
        timing=f"{R}/timing.tsv",
        figures=FIGURES,
        images=[path.replace(".svg", ".png") for path in FIGURES],
        notebooks=NOTEBOOKS,
        executed=[path.replace(".html", ".ipynb") for path in NOTEBOOKS],
        template="src/accelerated_smoothing/report/page.html.j2",
    output:
        report(
            PAGE,
            caption="../resources/captions/page.rst",
            category="The page",
            labels={"page": "report.html"},
        ),
    log:
        f"{R}/logs/report.log",
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=digest("report"),
        files=lambda wildcards, input: [
            path for path in input if path != input.template
        ],
        experiment=experiment,
        comparable=comparable,
    shell:
        "exec python -m accelerated_smoothing report {params.files} --template {input.template} "
        "--experiment {params.experiment:q} {params.comparable} --output {output} 2> {log}"


# Both are targets by their own names, too: `snakemake crate`, `snakemake archive`.
rule crate:
    input:
        TABLES,
        FIGURES,
        NOTEBOOKS,
        PAGE,
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
