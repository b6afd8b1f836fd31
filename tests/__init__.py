"""Packages below this folder import their own helpers by it."""
