"""The tree with the roles of species and compound exchanged: slopes are pooled by compound.

Model, with x~ = (1, x) centred, group g = (species c of supercategory s, compound k)::

    y_i     ~ N(x~_i · beta_g, sigma_g²)
    beta_g  ~ N(a_sk + e_0 mu_c, Psi_g),  Psi_g = diag(tau_b,g², psi_g 1)
    a_sk    ~ N(a_k, T_s),  T_s = diag(tau_mu_pair[s]², tau_w_pair[s]² 1)
    a_k     ~ N(a_0 + e_0 z_k·theta, T),  T = diag(tau_comp², tau_w_comp² 1),  a_0 ~ N(0, T_0)
    mu_c    ~ N(mu_s, tau_mu[s]²),  mu_s ~ N(0, tau_mu_super²),  theta ~ N(0, s_theta² I)

A compound keeps its own response to the standards over all species, and its own place in every
supercategory; a species moves all compounds alike. As in the tree of species everything is
Gaussian given the scales, and solved exactly. What crosses the tree is x = (mu_1..mu_C, theta), so
that the dense system has C + D unknowns. Nodes are many and small, and are worked off in batches.

Read `layout` (nodes and batches), `marginal`, `descent`, `moments`, `posterior`, `predictive`;
what both trees share stands in `groups`, `group_moments` and `levels` beside this package.
"""
