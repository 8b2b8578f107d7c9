rule figure:
    input:
        evidence_of_figure,
    output:
        svg=f"{R}/figure{{number}}.svg",
        png=f"{R}/figure{{number}}.png",
    log:
        f"{R}/logs/figure{{number}}.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        experiment=experiment,
        reference=CONFIG.reference,
    shell:
        "python -m accelerated_smoothing figure {wildcards.number} {input} --experiment {params.experiment:q} "
        "--reference {params.reference} --output {output.svg} 2> {log}"
