"""Reference methods for the scales of the hierarchical ridge: NUTS and mean-field ADVI, by PyMC.

PyMC is an optional extra. Only modules of this package import it, and they are imported only when
the method asks for it (see `hierarchy.scale_posterior`); `extra` says what is missing. Read `op`
(the exact log marginal as a PyTensor Op) and `nuts`; `explicit` (the model with its latents written
out) and `advi`.
"""
