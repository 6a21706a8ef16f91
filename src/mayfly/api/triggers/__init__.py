"""A manifest's [[trigger]]s made real: bucket rules, mappings, schedules, webhooks."""
