"""Every artifact of the product, declared once: what it reads, who makes it, what guards it.

The orchestrator's assets and the command line are both faces of these declarations, so that they
make the same files with the same checks, settings and lineage. Here belongs which function makes
which artifact from which others; how it is computed stands in `prep`, `chemistry`, `rt`, `report`.
"""
