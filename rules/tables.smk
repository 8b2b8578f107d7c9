rule table:
    input:
        data=evidence_of_table,
        reported=reported,
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
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=lambda wildcards: digest("table", number=wildcards.paper + wildcards.table),
        experiment=experiment,
        reference=lambda wildcards: laid(wildcards).reference,
        radii=lambda wildcards: laid(wildcards).radii,
        error_radius=lambda wildcards: laid(wildcards).error_radius,
        comparison=flags(CONFIG.comparison),
        comparable=comparable,
    shell:
        "exec python -m accelerated_smoothing table {wildcards.paper}{wildcards.table} {input.data} --reported {input.reported} --experiment {params.experiment:q} "
        "--reference {params.reference} --radii {params.radii} --error-radius {params.error_radius} "
        "{params.comparison} {params.comparable} --output {output.csv} 2> {log}"
