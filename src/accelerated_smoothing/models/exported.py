"""Programs of torch.export (`.pt2`), read as data.

`torch.export.load` would run code that a file holds. It unpickles example inputs, tensor subclasses and custom objects
with `weights_only=False`, evaluates sizes as SymPy expressions, writes names into Python code, and loads libraries of
AOTInductor. Here none of these is used: the archive is read as JSON and raw tensors, and its graph is built anew, of
ATen's operators and arithmetic on sizes.
"""

import io
import json
import operator
import re
import zipfile
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import BROKEN

MAJOR = 8  # of the format's version
# The numbers of torch/_export/serde/schema.py.
TYPES = {
    **{1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 12: torch.bool},
    **{6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16},
}
FORMATS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}
PLAIN = ("int", "ints", "bool", "bools", "string", "int_lists")  # arguments that JSON holds as they are
SIZES = {"add", "sub", "mul", "floordiv", "mod", "neg", "getitem"}  # functions of Python's `operator`


def read(content: bytes) -> tuple[fx.GraphModule, list[int | None]]:
    """Return the network of a program with one input and one output, and the shape of the input; None: any length.

    Raises:
        InputError: the file must hold a program of ATen operators, and holds something else. The line begins with
            "must".
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        names = archive.namelist()
        root = next(name.removesuffix("archive_format") for name in names if name.endswith("archive_format"))
        program = json.loads(archive.read(f"{root}models/model.json"))
        if program["schema_version"]["major"] != MAJOR:
            raise InputError(
                f"must be of version {MAJOR} of the format of torch.export, got {program['schema_version']['major']}; "
                f"export it with PyTorch {torch.__version__.split('+')[0]}"
            )
        graph, signature = program["graph_module"]["graph"], program["graph_module"]["signature"]
        return _Builder(_tensors(archive, root)).build(graph, signature)
    except (*BROKEN, LookupError, AttributeError, StopIteration) as error:
        raise InputError(f"must be a program that torch.export.save wrote ({type(error).__name__})") from error


def _tensors(archive: zipfile.ZipFile, root: str) -> dict[str, torch.Tensor]:
    """Return the weights and constants of an archive by their names in the program."""
    tensors = {}
    for kind in ("weights", "constants"):
        config = json.loads(archive.read(f"{root}data/{kind}/model_{kind}_config.json"))["config"]
        for name, stated in config.items():
            if stated["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", stated["path_name"]):
                raise InputError(f"must hold plain tensors only, got a pickled object, {name!r}; export it without")
            meta = stated["tensor_meta"]
            raw = bytearray(archive.read(f"{root}data/{kind}/{stated['path_name']}"))
            flat = (
                torch.frombuffer(raw, dtype=TYPES[meta["dtype"]]) if raw else torch.empty(0, dtype=TYPES[meta["dtype"]])
            )
            sizes, strides = ([size["as_int"] for size in meta[key]] for key in ("sizes", "strides"))
            tensors[name] = flat.as_strided(sizes, strides, meta["storage_offset"]["as_int"]).clone()
    return tensors


class _Builder:
    """Builds a graph; `values` are what the program has named so far."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self.tensors, self.graph, self.root = tensors, fx.Graph(), nn.Module()
        self.values: dict[str, fx.Node] = {}

    def build(self, graph: dict[str, Any], signature: dict[str, Any]) -> tuple[fx.GraphModule, list[int | None]]:
        images, shape = None, []
        for number, spec in enumerate(signature["input_specs"]):
            ((kind, stated),) = spec.items()
            if kind == "user_input" and images is None:
                name = stated["arg"]["as_tensor"]["name"]
                meta = graph["tensor_values"][name]
                if TYPES.get(meta["dtype"]) != torch.float32:
                    raise InputError("must take float32 images, got another type; export it so")
                images, shape = self.graph.placeholder("images"), [size.get("as_int") for size in meta["sizes"]]
                self.values[name] = images
            elif kind in ("parameter", "buffer", "tensor_constant"):
                own = f"tensor{number}"  # a name of the file would become Python code
                self.root.register_buffer(own, self.tensors[stated[f"{kind}_name"]])
                self.values[stated["arg"]["name"]] = self.graph.get_attr(own)
            else:
                raise InputError("must take one batch of images and nothing else; export it so")
        if images is None:
            raise InputError("must take one batch of images, got no input; export it so")
        for node in graph["nodes"]:
            self._add(node, images)
        (output, *others) = signature["output_specs"]
        if others or "user_output" not in output:
            raise InputError(
                "must return logits and change nothing, got more outputs or changes of buffers; "
                "export it after model.eval(), with one output"
            )
        self.graph.output(self.values[output["user_output"]["arg"]["as_tensor"]["name"]])
        module = fx.GraphModule(self.root, self.graph)
        for name, tensor in list(module.named_buffers()):
            module.register_buffer(name, tensor, persistent=False)  # the program itself is what is saved
        return module, shape

    def _add(self, node: dict[str, Any], images: fx.Node) -> None:
        function = _function(node["target"])
        args, words = [], {}
        for stated in node["inputs"]:
            value = self._argument(stated["arg"], images)
            if stated["kind"] == 2 and stated["name"].isidentifier():
                words[stated["name"]] = value
            else:
                args.append(value)
        result = self.graph.call_function(function, tuple(args), words)
        outputs = [next(iter(output.values())) for output in node["outputs"]]
        if len(outputs) == 1 and not isinstance(outputs[0], list):
            self._name(outputs[0], result)
            return
        for place, output in enumerate(outputs[0] if len(outputs) == 1 else outputs):
            self._name(output, self.graph.call_function(operator.getitem, (result, place)))

    def _name(self, output: object, result: fx.Node) -> None:
        """Keep an output, such as {"name": "relu"} or, for a size, {"as_name": "mul_3"}."""
        if isinstance(output, dict):
            self.values[output.get("name") or output["as_name"]] = result

    def _argument(self, stated: dict[str, Any], images: fx.Node) -> Any:
        ((kind, value),) = stated.items()
        kind = kind.removeprefix("as_")
        if kind == "none":
            return None
        if kind in PLAIN:
            return value
        if kind == "float":
            return float(value)  # infinity is a word
        if kind == "floats":
            return [float(each) for each in value]
        if kind in ("tensor", "name"):
            return self.values[value if kind == "name" else value["name"]]
        if kind == "tensors":
            return [self.values[each["name"]] for each in value]
        if kind in ("sym_int", "sym_float", "sym_bool", "optional_tensor"):
            return self._argument(value, images)
        if kind in ("sym_ints", "sym_floats", "sym_bools", "optional_tensors"):
            return [self._argument(each, images) for each in value]
        if kind == "scalar_type":
            return TYPES[value]
        if kind == "memory_format":
            return FORMATS[value]
        if kind == "layout":
            return torch.strided
        if kind == "device":  # that of the images, wherever the program was exported
            return self.graph.call_function(getattr, (images, "device"))
        raise InputError(f"must have tensors, numbers and words as arguments, got one of kind {kind!r}")


def _function(target: str) -> Callable[..., Any]:
    """Return the function that a name stands for: an operator of ATen, or arithmetic on sizes."""
    if (match := re.fullmatch(r"_operator\.(\w+)", target)) and match[1] in SIZES:
        return getattr(operator, match[1])
    match = re.fullmatch(r"torch\.ops\.aten\.(\w+)\.(\w+)", target)
    op = getattr(getattr(torch.ops.aten, match[1], None), match[2], None) if match else None
    # The few operators that read or write a file say so.
    if not isinstance(op, torch._ops.OpOverload) or any("file" in each.name for each in op._schema.arguments):
        raise InputError(f"must use operators of ATen, got {target!r}; export a network of these")
    return op
