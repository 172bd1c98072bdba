"""Panels: they show what is, and pass on what is asked for. No processing."""
