"""Files that a node lacks, fetched by whichever of its workers needs them first.

Locks of the cache and of the data root make the others wait, so that a node gets each file once.
"""

from __future__ import annotations

from posebench.downloads.plan import (
    FAILED,
    TO_FETCH,
    Settings,
    ensure_checkpoint,
    fetch_items,
    plan_dataset,
)
from posebench.registry import load_registry
from posebench.types.errors import UserError
from posebench.types.request import EvalRequest


def bring(request: EvalRequest, accept_licence: bool) -> None:
    """Fetch the weights and the dataset of a request where this node does not have them.

    What the request gives a path for is nobody's to fetch; nor are datasets that posebench draws.

    Args:
        request: Of an evaluation.
        accept_licence: Fetch also what somebody has to agree to.

    Raises:
        UserError: Something cannot be had, or no one agreed to its licence.
    """
    settings = Settings(request.registry, request.data_root)
    known = load_registry(tuple(request.registry))
    entry = known.find(request.model, request.dataset)
    if request.checkpoint is None:
        ensure_checkpoint(entry, accept_licence=accept_licence, settings=settings)
    spec = known.dataset(request.dataset or entry.dataset)
    if not spec.files or request.annotations is not None or request.images is not None:
        return
    items = [item for item in plan_dataset(spec, settings) if item.state == TO_FETCH]
    for item in items:
        if item.restricted and not accept_licence:
            raise UserError(
                f"{item.name} is under the licence '{item.licence}'.",
                f"`posebench fetch --dataset {spec.id} --accept-licence` if you agree to it.",
            )
    for item in fetch_items(items, settings):
        if item.state == FAILED:
            raise UserError(item.message, item.hint)
