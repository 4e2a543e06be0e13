"""Remedies in the owner's own files: what a finding makes of the plan, and which edits are offered."""

from __future__ import annotations

from pathlib import Path

import pytest

from nandoctor.consultation import Consultation
from nandoctor.inference.planning import IN_ORDER, AtHand, efficacies
from nandoctor.kb.load import load_knowledge
from nandoctor.kb.model import KnowledgeBase
from nandoctor.remedying import at_hand
from nandoctor.render.layout import build

CASES = Path(__file__).parents[2] / "benchmarks" / "cases"


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeBase:
    return load_knowledge()


def case(kb: KnowledgeBase, name: str) -> Consultation:
    return Consultation.open(kb=kb, run_dir=str(CASES / name))


def test_a_finding_raises_what_mends_it_and_no_more(knowledge: KnowledgeBase) -> None:
    here = AtHand(mends={("raise-batchnorm-epsilon", "batchnorm-instability"): 0.9, ("no", "such"): 0.9})
    table, usual = efficacies(knowledge, here), efficacies(knowledge)
    assert table["raise-batchnorm-epsilon"]["batchnorm-instability"] == 0.9
    assert usual["raise-batchnorm-epsilon"]["batchnorm-instability"] < 0.9
    assert table["use-batch-statistics"] == usual["use-batch-statistics"]
    assert "no" not in table


def test_a_finding_never_lowers(knowledge: KnowledgeBase) -> None:
    here = AtHand(mends={("reinitialize-weights", "poor-weight-initialization"): 0.1})
    assert efficacies(knowledge, here) == efficacies(knowledge)


def test_what_is_in_order_is_rarely_the_cure(knowledge: KnowledgeBase) -> None:
    table = efficacies(knowledge, AtHand(in_order=frozenset({"reinitialize-weights"})))
    assert max(table["reinitialize-weights"].values()) == IN_ORDER


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("arch_res20_no_norm", "add-normalization-layers"),
        ("bn_eps0_constant_debug", "raise-batchnorm-epsilon"),
        ("bn_eps0_dead_relu", "raise-batchnorm-epsilon"),
        ("bn_global_stats_debug", "use-batch-statistics"),
        ("init_bias_1000", "reinitialize-weights"),
        ("init_gauss1_lenet", "reinitialize-weights"),
        ("label_zero_width_box", "clamp-log-argument"),
        ("lr_mlp_disp1", "lower-learning-rate"),
        ("lrs_poly_beyond_maxiter", "fix-lr-schedule"),
        ("ls_price_targets", "scale-the-targets"),
        ("lw_aux_3000", "lower-loss-weight"),
        ("multinomial_raw_debug", "match-loss-to-input"),
        ("opt_momentum_1", "reset-optimizer-settings"),
        ("pool_ave_k2s3_h24", "fix-pooling-stride"),
        ("raw_lmdb_noscale", "normalize-input"),
        ("sparse_dropout_1", "lower-dropout"),
    ],
)
def test_the_first_step_is_the_one_that_mends_the_finding(knowledge: KnowledgeBase, name: str, first: str) -> None:
    assert case(knowledge, name).diagnosis.fastest[0].id == first


def test_no_edit_where_the_checks_find_nothing_wrong(knowledge: KnowledgeBase) -> None:
    held = case(knowledge, "arch_res20_no_norm")
    assert "reinitialize-weights" in at_hand(knowledge, held.ingested).in_order
    steps = (*held.diagnosis.fastest, *held.diagnosis.diagnostic)
    assert not [step for step in steps if step.id == "reinitialize-weights" and (step.patch or step.success > 0.2)]


def test_a_smaller_rate_is_offered_whatever_the_rate_was(knowledge: KnowledgeBase) -> None:
    held = case(knowledge, "rnn_layer_reg_noclip")
    assert any(e.observation == "lr_size" and e.state == "usual" for e in held.ingested.evidence)
    step = next(s for s in held.diagnosis.fastest if s.id == "lower-learning-rate")
    assert "base_lr" in step.patch


def test_data_may_be_normalised_outside_of_the_net(knowledge: KnowledgeBase) -> None:
    """HDF5Data has no `transform_param`: that the edit has no place in the net says nothing."""
    assert "normalize-input" not in at_hand(knowledge, case(knowledge, "raw_tab_unscaled").ingested).in_order


def test_the_same_edit_is_offered_once(knowledge: KnowledgeBase) -> None:
    for name in ("label_zero_width_box", "sing_sqrt_of_relu", "empty_mask_layers"):
        patches = [step.patch for step in case(knowledge, name).diagnosis.fastest if step.kind == "fix" and step.patch]
        assert len(patches) == len(set(patches)), name


@pytest.mark.parametrize(
    "name", ["bn_eps0_dead_relu", "arch_res20_no_norm", "init_gauss1_lenet", "lrs_exp_gamma_above_1"]
)
@pytest.mark.parametrize("lang", ["en", "zh", "ko"])
def test_the_last_line_says_what_to_do_first(knowledge: KnowledgeBase, name: str, lang: str) -> None:
    diagnosis = case(knowledge, name).diagnosis
    first = diagnosis.fastest[0]
    forms = build(diagnosis, knowledge, lang).verdicts
    title = knowledge.remedies[first.id].title.get(lang)
    assert all(title in form or (first.edits and ":" in form) for form in forms)
