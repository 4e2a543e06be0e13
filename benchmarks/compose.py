"""Makes cases with two planted faults: a real Caffe run whose log shows the first, the second planted in its
net or solver. The log's own dump of net and solver is taken out, so that files and log do not contradict each other.

    python benchmarks/compose.py benchmarks/cases OUT_DIR && nandoctor evaluate OUT_DIR
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nandoctor import evaluation

GLOG = re.compile(r"^[IWEF]\d{4,8} ")


class Plant(NamedTuple):
    """A second fault: where it goes, what its owner would say, the text edit (None: does not fit this net)."""

    cause: str
    file: str
    answers: dict[str, str]
    edit: Callable[[str], str | None]


def set_solver(field: str, value: str) -> Callable[[str], str | None]:
    def edit(text: str) -> str | None:
        line = f"{field}: {value}\n"
        new, count = re.subn(rf"(?m)^{field}:.*\n", line, text)
        return new if count else text.rstrip("\n") + "\n" + line

    return edit


def wide_filler(text: str) -> str | None:
    new, count = re.subn(
        r'weight_filler\s*\{[^}]*\}', 'weight_filler { type: "gaussian" std: 2 }', text
    )  # fmt: skip
    return new if count else None


def dropout(text: str) -> str | None:
    found = re.search(r'(?s)layer\s*\{[^{}]*?name:\s*"(relu\d*|tanh\d*)".*?top:\s*"(\w+)"\s*\}\n', text)
    if not found:
        return None
    blob = found[2]
    layer = (
        f'layer {{\n  name: "drop_x"\n  type: "Dropout"\n  bottom: "{blob}"\n  top: "{blob}"\n'
        "  dropout_param { dropout_ratio: 1 }\n}\n"
    )
    return text[: found.end()] + layer + text[found.end() :]


def raw_pixels(text: str) -> str | None:
    if "transform_param" not in text or "scale" not in text:
        return None
    return re.sub(r"(?m)^\s*(scale|mean_value|mean_file):.*\n", "", text)


def pooling(text: str) -> str | None:
    new, count = re.subn(r"(?s)(pooling_param\s*\{[^}]*?)kernel_size:\s*\d+([^}]*?)stride:\s*\d+",
                         r"\1kernel_size: 1\2stride: 2", text, count=1)  # fmt: skip
    return new if count else None


def heavy_loss(text: str) -> str | None:
    losses = list(re.finditer(r'(?s)layer\s*\{(?:[^{}]|\{[^{}]*\})*?type:\s*"\w*Loss"(?:[^{}]|\{[^{}]*\})*\}', text))
    if len(losses) < 2:
        return None
    last = losses[-1]
    body = re.sub(r"\n\s*loss_weight:.*", "", last[0]).rstrip("}\n ") + "\n  loss_weight: 4000\n}"
    return text[: last.start()] + body + text[last.end() :]


def frozen_statistics(text: str) -> str | None:
    found = re.search(r'(?s)layer\s*\{\s*name:\s*"conv1".*?\n\}\n', text)
    if not found:
        return None
    layer = (
        'layer {\n  name: "bn_x"\n  type: "BatchNorm"\n  bottom: "conv1"\n  top: "conv1"\n'
        "  batch_norm_param { use_global_stats: true }\n}\n"
    )
    return text[: found.end()] + layer + text[found.end() :]


PLANTS = (
    Plant("optimizer-misconfigured", "solver", {"optimizer_settings": "unusual"}, set_solver("momentum", "1.05")),
    Plant("optimizer-misconfigured", "solver", {"optimizer_settings": "unusual"}, set_solver("weight_decay", "-20")),
    Plant("poor-weight-initialization", "net", {"weight_init": "large"}, wide_filler),
    Plant("excessive-sparsity", "net", {"sparsity": "yes"}, dropout),
    Plant("input-not-normalized", "net", {"input_range": "raw"}, raw_pixels),
    Plant("pooling-stride-exceeds-kernel", "net", {"pooling_stride": "exceeds_kernel"}, pooling),
    Plant("loss-weight-too-large", "net", {"several_losses": "one_dominates"}, heavy_loss),
    Plant("batchnorm-instability", "net", {"batchnorm": "global_stats_from_scratch"}, frozen_statistics),
)


def without_dumps(log: str) -> str:
    """The log without the multi-line dumps of solver and net that follow "... from parameters:"."""
    kept, skipping = [], False
    for line in log.splitlines(keepends=True):
        if GLOG.match(line):
            skipping = "from parameters" in line
            if skipping:
                continue
        if not skipping:
            kept.append(line)
    return "".join(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--each", type=int, default=2, help="second faults per run")
    options = parser.parse_args()
    made = 0
    runs = [c for c in evaluation.load_cases(options.cases) if c.solver and c.causes[0] not in evaluation.FINE]
    for number, case in enumerate(run for run in runs if run.onset_line is not None):
        taken = 0
        for offset in range(len(PLANTS)):
            plant = PLANTS[(number * 3 + offset) % len(PLANTS)]
            if taken >= options.each or plant.cause in {*case.causes, *case.acceptable}:
                continue
            texts = {"solver": Path(case.solver).read_text("utf-8"), "net": Path(case.net).read_text("utf-8")}
            edited = plant.edit(texts[plant.file])
            if edited is None or edited == texts[plant.file]:
                continue
            texts[plant.file] = edited
            folder = options.out / f"{case.id}+{plant.cause}-{offset}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "solver.prototxt").write_text(texts["solver"], "utf-8")
            (folder / "train_val.prototxt").write_text(texts["net"], "utf-8")
            log = Path(case.logs[0]).read_text("utf-8", errors="replace")
            (folder / "train.log").write_text(without_dumps(log), "utf-8")
            answers = "".join(f"  {k}: '{v}'\n" for k, v in {**case.answers, **plant.answers}.items())
            (folder / "case.yaml").write_text(
                f"id: {folder.name}\nkind: run\nframework: caffe\ncauses: [{case.causes[0]}, {plant.cause}]\n"
                f"answers:\n{answers}experiments: {{}}\n",
                "utf-8",
            )
            taken += 1
            made += 1
    print(f"{made} cases with two faults in {options.out}")


if __name__ == "__main__":
    main()
