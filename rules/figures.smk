rule figure:
    input:
        evidence_of_figure,
    output:
        svg=report(
            f"{R}/figure{{figure}}.svg",
            caption="../resources/captions/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        png=f"{R}/figure{{figure}}.png",
    log:
        f"{R}/logs/figure{{figure}}.log",
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=lambda wildcards: digest("figure", number=wildcards.figure),
        experiment=experiment,
        reference=CONFIG.reference,
    shell:
        "exec python -m accelerated_smoothing figure {wildcards.figure} {input} --experiment {params.experiment:q} "
        "--reference {params.reference} --output {output.svg} 2> {log}"
