"""Sections of the report on verification."""
