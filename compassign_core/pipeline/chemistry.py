"""Chemistry: structures to descriptors to classes, shared by all libraries.

Here belongs what depends on the chemicals alone; which comp is which chemical is a matter of each
library and stands in `ingest`.
"""

from collections.abc import Mapping

import pyarrow as pa

from compassign_core.contracts.rejects import StepResult
from compassign_core.pipeline.artifacts import table_artifact
from compassign_core.pipeline.lineage import file_hash
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project


def _sources(project: Project, _partition: Partition) -> Mapping[str, str]:
    libraries = project.libraries
    chemistry = libraries.chemistry
    named = {"structures": chemistry.structures, "embeddings": chemistry.embeddings}
    return {
        "settings": chemistry.settings.fingerprint(),
        **{
            role: f"{path} {file_hash(libraries.path(path))}"
            for role, path in named.items()
            if path is not None
        },
    }


@table_artifact(group="chemistry", packages=("chemistry",), inputs=_sources)
def structures(project: Project, partition: Partition) -> StepResult:
    from compassign_core.chemistry.structures import no_structures, read_structures

    libraries = project.libraries
    if libraries.chemistry.structures is None:
        return no_structures()
    path = libraries.path(libraries.chemistry.structures)
    return read_structures(path, project.lake.connection)


@table_artifact(group="chemistry", packages=("chemistry",), inputs=_sources, pool="train")
def chem_descriptors(project: Project, partition: Partition, structures: pa.Table) -> StepResult:
    from compassign_core.chemistry.descriptors import describe_structures
    from compassign_core.chemistry.embeddings import read_embeddings

    chemistry = project.libraries.chemistry
    if chemistry.embeddings is not None:
        return read_embeddings(project.libraries.path(chemistry.embeddings))
    return describe_structures(structures, chemistry.settings)


@table_artifact(group="chemistry", packages=("chemistry",), inputs=_sources, pool="train")
def chem_classes(project: Project, partition: Partition, chem_descriptors: pa.Table) -> StepResult:
    from compassign_core.chemistry.classes import classify

    return classify(chem_descriptors, project.libraries.chemistry.settings)
