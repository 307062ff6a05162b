"""The figures of the page, by subject: tables in, `plotly.graph_objects.Figure` out.

Numbers come from `summaries`; here is only drawing. Large data are thinned: residuals are summed up
per run, long series of runs per stretch of runs. The small images of the orchestrator's UI are in
`thumbnails`.
"""
