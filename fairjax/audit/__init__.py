"""Audits of any face model: from somebody's files to numbers, tables and a report."""
