"""AWS Lambda's API over the platform's ports. Shapes come from the model, none is written here.

Reading order: `operations` (what there is), `functions`, `settings`, `invoke`, `names`.
"""
