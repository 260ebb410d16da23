"""Sections of the report on attribute models."""
