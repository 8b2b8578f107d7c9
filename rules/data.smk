rule data:
    output:
        train=f"{R}/data/train.npz",
        test=f"{R}/data/test.npz",
    log:
        f"{R}/logs/data.log",
    localrule: True  # it may download, and nodes of a cluster may have no internet
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=jobs.code_of_data(),
        dataset=jobs.main.dataset.name,
        folder=jobs.main.dataset.folder,
        size=jobs.main.dataset.size,
    shell:
        "exec python -m accelerated_smoothing data {params.dataset} --folder {params.folder:q} --size {params.size} "
        "--train {output.train} --test {output.test} 2> {log}"
