"""Export shards to RT table, one module a step, each a readable query with its rule on top.

Every step takes SQL text of its input tables and the engine, and returns a `StepResult`; no step
reads or writes the lake itself, and none knows the orchestrator.
"""
