"""The one that numbers things: queries, dimensions, barriers. Everything it acknowledges is durable first."""
