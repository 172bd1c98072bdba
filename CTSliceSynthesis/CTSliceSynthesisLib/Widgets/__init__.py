"""Panels: they display state and forward user actions. No processing."""
