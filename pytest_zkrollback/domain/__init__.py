"""What the words mean: model, environment, verdict, errors, ports. Imports nothing of ours."""
