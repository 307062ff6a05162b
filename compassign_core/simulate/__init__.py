"""Generators with known truth: library exports, RT tables, peaks, amplicon tables.

Here belongs what makes data up and says what is true of them. Statistics on such data belong to
the packages that are being tried out.
"""
