"""The historic baseline: a lasso per (group, comp) with the production window rule.

Belongs here: fitting it, importing coefficients that were fitted elsewhere, and the window rule.
Scoring, windows and evaluation are those of `compassign_core.rt`: a lasso becomes coefficient
summaries without parameter uncertainty.
"""
