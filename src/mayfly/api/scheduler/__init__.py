"""AWS's face of the schedules: EventBridge Scheduler's API, by botocore's model "scheduler"."""
