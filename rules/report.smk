report: "../resources/captions/workflow.rst"


rule notebook:
    input:
        items.notebook_inputs,
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
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=items.notebook_code,
        reads=items.notebook_inputs,  # not from `input`: Snakemake does not track what is computed from that
        parameters=items.notebook_parameters,
    shell:
        "exec python -m accelerated_smoothing notebook {input.source} --parameters {params.parameters:q} "
        "--reads {params.reads} --output {output.executed} 2> {log}"


# The page of the main paper, and of each sister paper in its folder.
rule report:
    input:
        items.page_inputs,
        template="src/accelerated_smoothing/report/page.html.j2",
    output:
        report(
            f"{R}/{{paper}}report.html",
            caption="../resources/captions/page.rst",
            category="The page",
            labels={"page": "{paper}report.html"},
        ),
    log:
        f"{R}/logs/{{paper}}report.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=items.page_code,
        files=items.page_inputs,
        caption=items.page_caption,
    shell:
        "exec python -m accelerated_smoothing report {params.files} --template {input.template} "
        "--caption {params.caption:q} --output {output} 2> {log}"


# Both are targets by their own names, too: `snakemake crate`, `snakemake archive`.
rule crate:
    input:
        TABLES,
        FIGURES,
        items.notebooks(),
        f"{R}/report.html",
    output:
        f"{R}/ro-crate-metadata.json",
    log:
        f"{R}/logs/crate.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=jobs.code_of("crate"),
        workflow=items.fingerprint,
    shell:
        "exec python -m accelerated_smoothing crate {input} --output {output} 2> {log}"


rule archive:
    input:
        f"{R}/ro-crate-metadata.json",
    output:
        f"{R}/crate.zip",
    log:
        f"{R}/logs/archive.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=jobs.code_of("archive"),
    shell:
        "exec python -m accelerated_smoothing archive {input} --output {output} 2> {log}"
