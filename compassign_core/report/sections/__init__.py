"""The sections of the page: report inputs in, pieces of HTML out, in the order they are read.

Here belong words, tables and what stands beside a figure; figures are drawn in `figures`, numbers
come from `summaries`, and `page` puts the sections into one document.
"""
