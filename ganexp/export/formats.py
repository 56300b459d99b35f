"""Files of a generator that other programs open, and a check of what these make of inputs."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ganexp.errors import UserError, first_line
from ganexp.export.portable import Exportable
from ganexp.system.atomic import replacing

Opened = Callable[[tuple[Tensor, ...]], Tensor]
"""An opened file: from inputs to the output."""


class Format(NamedTuple):
    """A kind of file. ``packages``: what writing and checking it needs."""

    file: str
    packages: tuple[str, ...]
    write: Callable[[Exportable, ExportedProgram, Path], None]
    open: Callable[[Path, Exportable], Opened]


def traced(exported: Exportable) -> ExportedProgram:
    """The module as a graph of torch's operations, for any number of samples.

    Sizes of sources vary where the network allows it. No names of files are left in the graph. Raises UserError
    where torch.export cannot follow the network.
    """
    shapes: list[dict[int, Any]] = [{0: Dim.DYNAMIC} for _ in exported.names]
    if exported.multiple is not None:
        shapes[0] |= {2: Dim.AUTO, 3: Dim.AUTO}
    with _quiet(), torch.no_grad():
        inputs = exported.example(3, seed=0)
        try:
            program = torch.export.export(
                exported.module, inputs, dynamic_shapes=(tuple(shapes),), strict=False
            )
        except Exception as error:  # it raises all kinds of errors
            raise _cannot("torch_export", error) from error
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    return program


def _write_torch(exported: Exportable, program: ExportedProgram, file: Path) -> None:
    stream = io.BytesIO()
    torch.export.save(program, stream)
    with replacing(file) as temporary:
        temporary.write_bytes(stream.getvalue())


def _open_torch(file: Path, exported: Exportable) -> Opened:
    with file.open("rb") as stream:
        module = torch.export.load(io.BytesIO(stream.read())).module()
    return lambda inputs: module(*inputs)


def _write_onnx(exported: Exportable, program: ExportedProgram, file: Path) -> None:
    with _quiet(), redirect_stdout(io.StringIO()):
        made = torch.onnx.export(
            program, (), input_names=list(exported.names), output_names=[exported.output], dynamo=True
        )
    assert made is not None
    made.model.metadata_props.update({name: f"{shape}, {told}" for name, shape, told in exported.table()})
    try:
        content = made.model_proto.SerializeToString()
    except ValueError:
        raise UserError("format=onnx: these weights do not fit into one file of 2 GB") from None
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def _open_onnx(file: Path, exported: Exportable) -> Opened:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda inputs: torch.from_numpy(
        session.run(None, {name: part.numpy() for name, part in zip(exported.names, inputs, strict=True)})[0]
    )


FORMATS = {
    "onnx": Format("generator.onnx", ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _open_onnx),
    "torch_export": Format("generator.pt2", (), _write_torch, _open_torch),
}
"""By their names in ``conf/export.yaml``. Safetensors are no programs: see ``ganexp/runs/exported.py``."""

LARGEST_DIFFERENCE = 1e-3
"""Of outputs of a file from the original's, in float32."""


def check_packages(names: list[str]) -> None:
    """Raises UserError where a format needs a package that is not installed."""
    for name in names:
        missing = [package for package in FORMATS[name].packages if find_spec(package) is None]
        if missing:
            raise UserError(
                f"format={name} needs {' and '.join(missing)}: pip install -e '.[export]'; "
                "format=safetensors and format=torch_export need nothing"
            )


def written(name: str, exported: Exportable, program: ExportedProgram, folder: Path) -> tuple[Path, float]:
    """Writes a file, opens it again and compares: the file, and the largest difference from the original.

    For 1, 2 and 5 samples, and where sizes of sources vary for another size. Raises UserError, and removes the
    file, where an output differs or the file does not take these inputs.
    """
    form = FORMATS[name]
    file = folder / form.file
    try:
        form.write(exported, program, file)
    except (UserError, OSError):
        raise
    except Exception as error:
        raise _cannot(name, error) from error
    cases: list[tuple[int, tuple[int, int] | None]] = [(1, None), (2, None), (5, None)]
    if exported.multiple is not None:
        cases.append((2, (3 * exported.multiple, 4 * exported.multiple)))
    try:
        opened = form.open(file, exported)
        with torch.no_grad():
            pairs = [
                (opened(inputs), exported(inputs))
                for number, (count, sides) in enumerate(cases, start=1)
                if (inputs := exported.example(count, number, sides))
            ]
        largest = float(torch.stack([(one - other).abs().max() for one, other in pairs]).max())  # nan stays
    except Exception as error:
        file.unlink()
        raise _cannot(name, error) from error
    if not largest <= LARGEST_DIFFERENCE:
        file.unlink()
        raise UserError(
            f"format={name}: outputs differ by up to {largest:.2g} from the generator's: the file was removed"
        )
    return file, largest


def _cannot(name: str, error: Exception) -> UserError:
    return UserError(
        f"format={name}: this network cannot be written so: {first_line(error)}; format=safetensors always can"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' messages, which are of torch's own code."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
