"""The outer side of a door: which addresses a granted name may mean, and the bytes between."""
