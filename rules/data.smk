rule data:
    output:
        train=f"{R}/data/train.npz",
        test=f"{R}/data/test.npz",
    log:
        f"{R}/logs/data.log",
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=digest("prepare_data"),
        dataset=CONFIG.dataset.name,
        folder=CONFIG.dataset.folder,
        size=CONFIG.dataset.size,
    shell:
        "exec python -m accelerated_smoothing data {params.dataset} --folder {params.folder:q} --size {params.size} "
        "--train {output.train} --test {output.test} 2> {log}"
