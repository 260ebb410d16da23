"""A run: its parts, the training loop, evaluation, checkpoints and its folder."""
