"""Words that every room shares: batches and methods, results, pairs and scores."""
