"""Importers: result tables of other programs become the peaks and covariates of an export.

Each file is read by the reader of its kind into one canonical table of text (`canonical`), kept
aside by the file's checksum (`spool`). From there on all kinds are one: names become ids
(`names`), rows become peaks and standards (`peaks`), and `native` hands them to the steps that
also read exports, so that the same contracts, checks and rejects hold. Not here: judging peaks,
which is done by `prep.merge` for all libraries alike.
"""
