"""MLflow: what lies on disk of a study, written into a store; and the UI with the report beside it."""
