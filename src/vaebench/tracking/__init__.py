"""MLflow: the runs of a study written into a store, while they train and afterwards."""
