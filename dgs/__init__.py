"""Dynamic graph sampling: fresh K-hop ego-graphs for online GNN inference."""
