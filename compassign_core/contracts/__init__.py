"""What crosses a door: table schemas, settings, identifiers, errors, rejects, check outcomes.

Here belongs every shape that two packages must agree on. Here does not belong anything that
reads, computes or writes data; this package imports nothing else of the product.
"""
