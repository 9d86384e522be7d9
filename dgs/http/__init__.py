"""The HTTP server that the API stands behind: its socket, its connections, and what answers before the API can."""
