rule figure:
    input:
        evidence_of_figure,
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
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=lambda wildcards: digest(
            "figure", number=wildcards.paper + wildcards.figure
        ),
        experiment=experiment,
        reference=lambda wildcards: laid(wildcards).reference,
        radii=lambda wildcards: laid(wildcards).radii,
    shell:
        "exec python -m accelerated_smoothing figure {wildcards.paper}{wildcards.figure} {input} --experiment {params.experiment:q} "
        "--reference {params.reference} --radii {params.radii} --output {output.svg} 2> {log}"
