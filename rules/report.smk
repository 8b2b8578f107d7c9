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
