"""File formats: images and archives, records, .bin benchmarks, pair lists, landmarks."""
