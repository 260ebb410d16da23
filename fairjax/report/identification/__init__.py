"""Sections of the report on 1:N identification."""
