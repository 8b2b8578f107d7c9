rule table:
    input:
        data=evidence_of_table,
        reported="resources/reported/table{number}.csv",
    output:
        csv=f"{R}/table{{number}}.csv",
        markdown=f"{R}/table{{number}}.md",
        versus=f"{R}/table{{number}}_vs_paper.csv",
    log:
        f"{R}/logs/table{{number}}.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        experiment=experiment,
        reference=CONFIG.reference,
        radii=" ".join(map(str, CONFIG.radii)),
        error_radius=CONFIG.error_radius,
        comparison=flags(CONFIG.comparison),
    shell:
        "python -m accelerated_smoothing table {wildcards.number} {input.data} --reported {input.reported} --experiment {params.experiment:q} "
        "--reference {params.reference} --radii {params.radii} --error-radius {params.error_radius} "
        "{params.comparison} --output {output.csv} 2> {log}"
