"""Trials: models with changed settings or on part of the rows, beside the artifacts of the kinds.

A trial never replaces an artifact. It lies in the lake under ``trials/<name>/lib_id=…/row_cap=…``,
is predicted and judged by the same functions as the kinds, and is removed when nobody needs it.
"""
