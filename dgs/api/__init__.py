"""The edges of the service: HTTP routes that translate, and the data plane that they translate to."""
