"""A whole system from one folder: what is declared, what is there, and the way between them."""
