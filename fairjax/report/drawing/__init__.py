"""Plots and pictures of the report, as inline SVG and PNG."""
