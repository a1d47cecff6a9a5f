"""Files from strangers: mutations of valid ones give a sentence or the right result, and nothing is
written elsewhere."""
