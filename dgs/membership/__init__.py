"""Membership: every process of a deployment tells the coordinator about itself, and hears what it needs to know in return."""
