# Tables and figures of all papers; each says itself what it is made from (`papers`).
rule table:
    input:
        data=items.inputs("table"),
        reported=items.reported,
    output:
        csv=report(
            f"{R}/{{paper}}table{{table}}.csv",
            caption="../resources/captions/table.rst",
            category="Tables",
            labels={"table": "{paper}{table}", "holds": "ours"},
        ),
        markdown=f"{R}/{{paper}}table{{table}}.md",
        versus=report(
            f"{R}/{{paper}}table{{table}}_vs_paper.csv",
            caption="../resources/captions/versus.rst",
            category="Tables",
            labels={"table": "{paper}{table}", "holds": "beside the paper"},
        ),
    log:
        f"{R}/logs/{{paper}}table{{table}}.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=items.code("table"),
        title=items.title("table"),
        note=items.note,
        caption=items.caption("table"),
        analysis=items.analysis,
        comparison=items.comparison,
    shell:
        "exec python -m accelerated_smoothing table {wildcards.paper}{wildcards.table} {input.data} "
        "--caption {params.caption:q} {params.analysis} {params.comparison} "
        "--output {output.csv} 2> {log}"


rule figure:
    input:
        items.inputs("figure"),
    output:
        svg=report(
            f"{R}/{{paper}}figure{{figure}}.svg",
            caption="../resources/captions/figure.rst",
            category="Figures",
            labels={"figure": "{paper}{figure}"},
        ),
        png=f"{R}/{{paper}}figure{{figure}}.png",
    log:
        f"{R}/logs/{{paper}}figure{{figure}}.log",
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=items.code("figure"),
        title=items.title("figure"),
        caption=items.caption("figure"),
        analysis=items.analysis,
    shell:
        "exec python -m accelerated_smoothing figure {wildcards.paper}{wildcards.figure} {input} "
        "--caption {params.caption:q} {params.analysis} --output {output.svg} 2> {log}"
