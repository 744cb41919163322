"""A healthy release in which one thing is left wrong, or changed without harm, at random.

What is changed is known by construction: nothing here imports what judges (tests/project/test_mutations.py).
"""
