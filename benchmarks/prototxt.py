"""How fast prototxt files are read: best of several runs, in milliseconds, on generated nets and hostile input.

python benchmarks/prototxt.py
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nandoctor.consultation import Consultation
from nandoctor.errors import TextFormatError
from nandoctor.kb.load import load_knowledge
from nandoctor.readers.caffe import read_net, read_solver
from nandoctor.readers.edits import FieldEdit, apply_edits, unified_diff
from nandoctor.readers.shapes import infer_shapes
from nandoctor.readers.textproto import parse

KB = load_knowledge()
RUNS = 15
RESNET_152 = (3, 8, 36, 3)  # bottlenecks a stage


def convolution(name: str, bottom: str, outputs: int, kernel: int, stride: int) -> str:
    return f"""layer {{
  name: "{name}"
  type: "Convolution"
  bottom: "{bottom}"
  top: "{name}"
  convolution_param {{
    num_output: {outputs}
    kernel_size: {kernel}
    pad: {kernel // 2}
    stride: {stride}
    bias_term: false
    weight_filler {{ type: "msra" }}
  }}
}}
layer {{
  name: "{name}_bn"
  type: "BatchNorm"
  bottom: "{name}"
  top: "{name}"
  batch_norm_param {{
    use_global_stats: false
  }}
}}
layer {{
  name: "{name}_scale"
  type: "Scale"
  bottom: "{name}"
  top: "{name}"
  scale_param {{ bias_term: true }}
}}
"""


def relu(name: str) -> str:
    return f'layer {{\n  name: "{name}_relu"\n  type: "ReLU"\n  bottom: "{name}"\n  top: "{name}"\n}}\n'


def resnet(stages: tuple[int, ...]) -> str:
    """A residual net in the usual form, with its data and loss."""
    parts = [
        'name: "ResNet"\ninput: "data"\ninput_shape { dim: 8 dim: 3 dim: 224 dim: 224 }\n',
        'input: "label"\ninput_shape { dim: 8 }\n',
        convolution("conv1", "data", 64, 7, 2),
        relu("conv1"),
        'layer {\n  name: "pool1"\n  type: "Pooling"\n  bottom: "conv1"\n  top: "pool1"\n'
        "  pooling_param {\n    pool: MAX\n    kernel_size: 3\n    stride: 2\n  }\n}\n",
    ]
    bottom = "pool1"
    for stage, blocks in enumerate(stages):
        width = 64 << stage
        for block in range(blocks):
            name, stride = f"res{stage + 2}b{block}", 2 if stage and not block else 1
            shortcut = bottom
            if not block:
                shortcut = f"{name}_1"
                parts.append(convolution(shortcut, bottom, width * 4, 1, stride))
            parts += [convolution(f"{name}_2a", bottom, width, 1, stride), relu(f"{name}_2a")]
            parts += [convolution(f"{name}_2b", f"{name}_2a", width, 3, 1), relu(f"{name}_2b")]
            parts.append(convolution(f"{name}_2c", f"{name}_2b", width * 4, 1, 1))
            parts.append(
                f'layer {{\n  name: "{name}"\n  type: "Eltwise"\n  bottom: "{shortcut}"\n  bottom: "{name}_2c"\n'
                f'  top: "{name}"\n}}\n'
            )
            parts.append(relu(name))
            bottom = name
    parts.append(
        f'layer {{\n  name: "gpool"\n  type: "Pooling"\n  bottom: "{bottom}"\n  top: "gpool"\n'
        "  pooling_param { pool: AVE global_pooling: true }\n}\n"
        'layer {\n  name: "fc"\n  type: "InnerProduct"\n  bottom: "gpool"\n  top: "fc"\n'
        "  inner_product_param { num_output: 1000 }\n}\n"
        'layer {\n  name: "loss"\n  type: "SoftmaxWithLoss"\n  bottom: "fc"\n  bottom: "label"\n  top: "loss"\n}\n'
    )
    return "".join(parts)


def best(work: Callable[[], object]) -> float:
    """Milliseconds of the fastest of RUNS runs."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def report(title: str, milliseconds: float, goal: str = "") -> None:
    print(f"{title:58} {milliseconds:9.2f} ms  {goal}")


def refused(title: str, text: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    try:
        parse(text)
        answer = "read"
    except TextFormatError as error:
        answer = error.message.split("\n")[0]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    report(title, (time.perf_counter() - start) * 1000, f"+{grown:.0f} MB: {answer}")


def main() -> None:
    for title, stages, goal in (
        ("ResNet-152", RESNET_152, "goal 50"),
        ("ResNet, 10,000 lines", (8, 16, 56, 10), "goal 150 with all checks"),
    ):
        text = resnet(stages)
        document = parse(text)
        net = read_net(document)
        shapes = infer_shapes(net)
        assert shapes.blobs["fc"] == (8, 1000)
        assert not shapes.problems
        print(f"{title}: {text.count(chr(10)):,} lines, {len(text):,} characters, {len(net.layers)} layers")
        report("  parse", best(lambda text=text: parse(text)), goal)
        report("  read as a net", best(lambda document=document: read_net(document)))
        report("  infer shapes", best(lambda net=net: infer_shapes(net)))
        edits = [FieldEdit("set", "convolution_param.weight_filler.type", "xavier", layer="Convolution")]
        edited = apply_edits(document, edits)
        report("  edit every convolution", best(lambda document=document, edits=edits: apply_edits(document, edits)))
        report("  its diff", best(lambda text=text, edited=edited: unified_diff("net", text, edited)))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train_val.prototxt"
            path.write_text(text)
            report("  read, shapes and every check", best(lambda path=path: Consultation.open(kb=KB, net=str(path))))
        windows = text.replace("\n", "\r\n")
        report("  parse with \\r\\n, place of the last layer", best(lambda windows=windows: last_place(windows)))
    solver = read_solver(parse('base_lr: 0.001 lr_policy: "exp" gamma: 1.12 max_iter: 450000'))
    report("schedule of 450,000 iterations", best(solver.schedule))
    megabytes = 100_000_000
    refused("100 MB of opening braces", "a{" * (megabytes // 2))
    refused("100 MB of empty messages", "a{}" * (megabytes // 3))
    refused("100 MB of numbers in a list", "data: [" + "1," * (megabytes // 2))
    refused("100 MB of comments", "# a comment\n" * (megabytes // 12))
    refused("100 MB of empty lines, then an error", "\n" * megabytes + "}")
    refused("one string of 100 MB", "a: '" + "x" * megabytes + "'")


def last_place(text: str) -> object:
    return read_net(parse(text)).layers[-1].location


if __name__ == "__main__":
    main()
