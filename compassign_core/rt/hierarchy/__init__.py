"""The hierarchical ridge, solved exactly: a tree of coefficient vectors crossed with compounds.

Model, with x~ = (1, x) centred, rows i of group g = (species c, compound k)::

    y_i    ~ N(x~_i · beta_g, sigma_g²)
    beta_g ~ N(a_c + e_0 alpha_k, Psi_g),  Psi_g = diag(tau_b,g², psi_g 1)
    a_c    ~ N(a_s, T_c),  a_s ~ N(a_0, T_s),  a_0 ~ N(0, T_0)
    alpha  ~ N(Z theta, tau_comp² I),  theta ~ N(0, s_theta² I)

Given the few scales all of this is jointly Gaussian, so only the scales are fitted. Read
`spectra` (statistics), `marginal` (likelihood), `moments` (posterior moments and gradient),
`fit` and `noise` (scales), `posterior` and `predictive` (what scoring needs), `train`, `predict`.
The tree with species and compounds exchanged is `compound_tree`. New rows into a trained model:
`held` (what a file keeps for it), `new_rows`, `conjugate`, `update`, `update_file`. Whether a fit
ended where it should: `convergence`.
"""
