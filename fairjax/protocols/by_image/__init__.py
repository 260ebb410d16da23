"""Protocols whose unit is an image: predictions, decisions, groups, intervals."""
