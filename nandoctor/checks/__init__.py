"""Static checks of a net, a solver and the log of their run, as the files under `knowledge/checks/` say."""

from __future__ import annotations

from nandoctor.checks import (
    classes,
    crosscheck,
    fillers,
    gaps,
    losses,
    norms,
    pooling,
    ranges,
    schedules,
    signal,
    structure,
    wiring,
)
from nandoctor.checks.engine import CheckResult, Detector, run
from nandoctor.checks.material import Material
from nandoctor.kb.model import KnowledgeBase
from nandoctor.readers.caffe import Net, Solver
from nandoctor.readers.facts import Run

__all__ = ["DETECTORS", "CheckResult", "run_checks"]

# The names that check files may give as `detector`.
DETECTORS: dict[str, Detector] = {
    "schedule": schedules.schedule,
    "past_max_iter": schedules.past_max_iter,
    "rate_size": schedules.rate_size,
    "lr_mult": schedules.multipliers,
    "weight_decay": schedules.weight_decay,
    "warm_up": schedules.warm_up,
    "pooling_window": pooling.windows,
    "pooling_refused": pooling.refused,
    "weight_filler": fillers.weight_fillers,
    "bias_filler": fillers.bias_fillers,
    "start": fillers.start,
    "bilinear": fillers.bilinear,
    "activation_scale": signal.activation_scale,
    "depth": signal.depth,
    "singular": ranges.singular,
    "fed_by": losses.fed_by,
    "swapped": losses.swapped,
    "one_class": losses.one_class,
    "class_counts": classes.counts,
    "ignore_label": losses.labels_inside,
    "loss_weights": losses.weights,
    "several_losses": losses.several,
    "summed_loss": losses.summed,
    "huge_targets": losses.huge_targets,
    "own_layers": losses.own_layers,
    "own_named": losses.own_named,
    "batchnorm_kind": norms.kind,
    "global_stats": norms.global_stats,
    "cancellation": norms.cancellation,
    "tiny_eps": norms.tiny_eps,
    "batch_of_one": norms.batch_of_one,
    "without_scale": norms.without_scale,
    "statistics_learned": norms.statistics_learned,
    "image_input": norms.image_input,
    "input_magnitude": norms.input_magnitude,
    "architecture": structure.architecture,
    "bottleneck": structure.bottleneck,
    "dropout_chain": structure.dropout_chain,
    "defects": wiring.defects,
    "unknown_types": wiring.unknown_types,
    "near_types": wiring.near_types,
    "in_place": wiring.in_place,
    "shared_weights": wiring.shared_weights,
    "no_loss": wiring.no_loss,
    "fields": wiring.fields,
    "twice": wiring.twice,
    "solver_of_log": crosscheck.solver_of_log,
    "net_of_log": crosscheck.net_of_log,
    "printed_rate": crosscheck.printed_rate,
    "printed_weights": crosscheck.printed_weights,
    "printed_batch": crosscheck.printed_batch,
    "first_loss": crosscheck.first_loss,
    "interval": crosscheck.interval,
    "precision": crosscheck.precision,
}


def run_checks(
    kb: KnowledgeBase,
    *,
    net: Net | None = None,
    solver: Solver | None = None,
    run: Run | None = None,
    input_shapes: dict[str, tuple[int, ...]] | None = None,
) -> CheckResult:
    """Everything that net, solver and log show without a run.

    Args:
        kb: the checks.
        net: the owner's net, or the log's own dump of it (then the places are lines of the log).
        solver: likewise.
        run: the log; sharpens sizes, start, magnitudes, and is held against the files.
        input_shapes: shapes of inputs that the owner gives.
    """
    material = Material(net, solver, run, input_shapes)
    return _run(kb, material, DETECTORS, gaps.gaps(kb, material))


_run = run
