"""Typed settings, one module a stage, validated where they enter."""
