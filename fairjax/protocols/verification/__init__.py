"""Protocols whose unit is a pair: rates, gaps, thresholds, intervals."""
