"""Test doubles and oracles that ship with the product."""
