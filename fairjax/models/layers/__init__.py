"""Layers with the same results as Flax's own, computed in the form that the device runs fastest."""
