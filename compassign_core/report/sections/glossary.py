"""The glossary: the words of the page, for a reader who sees it for the first time."""

from __future__ import annotations

from compassign_core.report.markup import element

_TERMS = (
    (
        "How to read this page",
        "Start with the lights. Each gives its rule; colours always come with a word. All numbers "
        "are measured on held-out sample sets, which no model has seen. Retention times, errors "
        "and widths are in minutes.",
    ),
    (
        "Window",
        "From-to interval in which the peak of a compound is expected; a 95 % window should hold "
        "95 of 100 such peaks. Width is the full width.",
    ),
    ("RMSE, MAE", "Root mean squared and mean absolute error of the predicted retention time."),
    (
        "CRPS",
        "Continuous ranked probability score: one number, in minutes, for the whole predictive "
        "distribution. It rewards narrow windows only while they are honest; lower is better.",
    ),
    (
        "Cov95, Width95",
        "Share of held-out peaks inside their nominal 95 % window, and the mean full width. Cov50, "
        "Cov80 and Cov99 are the same of narrower and wider windows.",
    ),
    (
        "Binomial interval",
        "Where the true share may lie, 95 times in 100, given this many peaks (Wilson). It takes "
        "peaks as independent; those of one run miss together, so where it matters the page counts "
        "runs or sample sets instead.",
    ),
    (
        "PIT",
        "Probability integral transform: the share of its predictive distribution that lies below "
        "an observed retention time. Over many peaks it is even when the distribution is right.",
    ),
    (
        "Interval score, log score",
        "The interval score is the mean width of the 95 % window plus 40 times what misses lie "
        "outside of it, in minutes; the log score is the mean log predictive density.",
    ),
    (
        "Support",
        "Training rows of the compound in its group (species or supercategory). Few rows: wider "
        "window.",
    ),
    (
        "Pair, rare pair, cell",
        "A pair is a species and a compound; rare ones have at most five training rows. A cell is "
        "a supercategory and a number of training rows of the pair.",
    ),
    ("Cap", "Most training rows kept per pair of species and compound."),
    (
        "Novelty",
        "Whether the model has seen the pair, only its compound, only its species, or neither.",
    ),
    (
        "Standard",
        "Compound of known identity found in every run (IS internal, RS retention, ES_ "
        "endogenous); its retention time tells the model how the run has drifted.",
    ),
    (
        "Baseline",
        "A model that others are held against, on the same held-out peaks: the mean retention time "
        "of each compound in its supercategory, as a fixed list of windows has it, and a "
        "regression on the standards without pooling.",
    ),
    (
        "Scale, pooling",
        "A scale says how much species, compounds or groups differ; it is fitted. The smaller it "
        "is, the more a group with few rows leans on those beside it, which is pooling: its value "
        "shrinks toward theirs. The prior says what was expected of a scale, the posterior what is "
        "known after the data.",
    ),
    ("Residual", "Observed minus predicted retention time. Above zero: later than predicted."),
    ("Run, worksheet, sample set", "One injection; its batch; the samples of one study."),
    (
        "Unscored",
        "The model had no basis for a prediction. Such rows count as held-out but enter no error "
        "or coverage.",
    ),
)


def glossary_section() -> list[object]:
    """Explain the words of the page."""
    terms = [piece for k, v in _TERMS for piece in (element("dt", k), element("dd", v))]
    return [element("dl", *terms)]
