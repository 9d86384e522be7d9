"""dgs-loader: streams files of vertex and edge updates into the service."""
