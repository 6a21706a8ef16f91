"""Webhooks, and the deliveries that were accepted lately."""
