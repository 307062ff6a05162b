"""DuckDB sessions, atomic writes, the lake (one file a partition), the warehouse (views).

Here belongs how and where artifacts are kept; not what is in them (`contracts`) nor how they
are made (`prep`, `chemistry`, `rt`).
"""
