"""Structures to descriptors to chemistry classes.

Here belongs what is known of a chemical apart from any library. The mapping of library entries
to chemicals belongs to `prep`.
"""
