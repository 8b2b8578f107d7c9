"""What the rules ask of the config: the plan of a run, and the cluster that it runs on."""
