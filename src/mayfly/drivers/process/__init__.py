"""drivers/process."""
