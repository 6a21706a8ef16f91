"""Coverage-guided fuzzing of everything that reads what strangers send.

    targets     what is fuzzed: a reader, its seeds, the errors that it may answer with
    __main__    runs one target with atheris, for as long as you let it

The suite draws from the same targets with Hypothesis (tests/security/test_fuzz_targets.py): what
atheris finds becomes a seed here, and so a test.
"""
