"""Double cross-validation: many folds on processes, SLURM or Dask, killed and resumed at will; SPEC 8."""
