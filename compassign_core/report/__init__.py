"""Figures, tables and the one page per (library, cap) that a person reads.

Here belongs how results are shown; not how they are computed (`rt`) nor where they are kept
(`store`). The page is one file that opens offline and makes no request to anywhere.
"""
