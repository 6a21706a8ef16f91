"""Which things `mayfly apply` made, by system."""
