"""MLflow: what a stage logs, the store, the logged model, and the UI."""
