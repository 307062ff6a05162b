# The mixed model of benchmarks/mixed_models.py in lme4: reads a CSV, writes one JSON object.
# Only the fit is timed, not the start of R nor the reading of the file.
arguments <- commandArgs(trailingOnly = TRUE)
suppressMessages(library(lme4))
rows <- read.csv(arguments[1])
for (name in c("supercategory", "species", "comp", "pair")) rows[[name]] <- factor(rows[[name]])
standards <- grep("^x", names(rows), value = TRUE)
right <- paste(c("1", standards), collapse = " + ")
model <- as.formula(paste(
  "y ~", right, "+ (1 | supercategory) + (1 | species) + (1 | comp) + (1 | pair)"
))
begin <- proc.time()
fit <- lmer(model, rows, REML = TRUE, control = lmerControl(calc.derivs = FALSE))
spent <- proc.time() - begin
sd <- as.data.frame(VarCorr(fit))
named <- setNames(sd$sdcor, sd$grp)
cat(sprintf(
  paste0(
    '{"version": "%s", "cpu_seconds": %.17g, "evaluations": %d, "log_likelihood": %.17g, ',
    '"sd": {"sigma_y": %.17g, "tau_b": %.17g, "tau_comp": %.17g, "tau_mu": %.17g, ',
    '"tau_mu_super": %.17g}}'
  ),
  as.character(packageVersion("lme4")), spent[["user.self"]] + spent[["sys.self"]],
  fit@optinfo$feval, as.numeric(logLik(fit)), named[["Residual"]], named[["pair"]],
  named[["comp"]], named[["species"]], named[["supercategory"]]
), file = arguments[2])
