"""Layers written for a backend's sake: the same functions as Flax's own, computed another way."""
