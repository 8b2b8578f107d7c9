"""Networks made of networks: what they compute, what of them is trained, and their folding."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp

from accelerated_smoothing import architectures, cli, data, models
from accelerated_smoothing.architectures.ensemble import parts
from accelerated_smoothing.counting.engines import build
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256
from accelerated_smoothing.models.editing import edit
from accelerated_smoothing.models.families.ensemble import Agreement, Ensemble
from accelerated_smoothing.training import base, loop, way
from accelerated_smoothing.training.smoothed import Teacher

CPU = torch.device("cpu")
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
ARCHS = ["ensemble3-resnet8", "sween3-resnet8", "consensus2of3-resnet8", "denoised-resnet8"]


def network(arch: str, channels: int = 3) -> torch.nn.Sequential:
    """One whose weights and statistics are all random, as after training."""
    torch.manual_seed(4)
    model = models.build(arch, 5, MEAN[:channels], STD[:channels])
    for name, tensor in model[1].state_dict().items():
        if name.endswith(("running_mean", "running_var", "v", "last.weight", "last.bias")):
            tensor.copy_(torch.rand(tensor.shape) + 0.5 * name.endswith("var"))
    return model.eval()


def images(n: int = 40) -> torch.Tensor:
    return torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(6))


def of_members(model: torch.nn.Sequential, x: torch.Tensor) -> np.ndarray:
    """[members, n, classes] logits."""
    with torch.no_grad():
        return np.stack([member(model[0](x)).numpy() for member in model[1].members]).astype(float)


@pytest.mark.parametrize("arch", ARCHS[:3])
def test_they_compute_what_their_names_say(arch: str) -> None:
    model, x = network(arch), images()
    each, expected = of_members(model, x), []
    for z in each.transpose(1, 0, 2):
        if arch.startswith("ensemble"):
            expected.append(z.mean(0))
        elif arch.startswith("sween"):
            weights = log_softmax(model[1].v.detach().numpy().astype(float))
            expected.append(logsumexp(log_softmax(z, axis=1) + weights[:, None], axis=0))
        else:
            expected.append(z[:2].mean(0) if z[0].argmax() == z[1].argmax() else z.mean(0))
    with torch.no_grad():
        np.testing.assert_allclose(model(x).numpy(), expected, atol=1e-5)


class Fixed(torch.nn.Module):
    """Returns the same logits for any images."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.logits = torch.from_numpy(logits)

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_a_consensus_is_the_class_of_the_first_or_the_mean() -> None:
    """Where the first two agree, the third cannot change the class, though it is the surest."""
    random = np.random.default_rng(0)
    each = random.normal(size=(3, 400, 5)) * np.array([1, 1, 5])[:, None, None]
    tops, mean = each.argmax(2), each.mean(0).argmax(1)
    agree = tops[0] == tops[1]
    assert (agree & (tops[0] != mean)).any()
    predicted = Ensemble([Fixed(logits) for logits in each], 2)(torch.zeros(400)).argmax(1).numpy()
    np.testing.assert_array_equal(predicted, np.where(agree, tops[0], mean))


def test_agreement_has_one_more_class_for_members_that_differ() -> None:
    random = np.random.default_rng(1)
    each = random.normal(size=(2, 400, 3)) * 200
    logits = Agreement([Fixed(members) for members in each])(torch.zeros(400))
    tops = each.argmax(2)
    np.testing.assert_array_equal(logits.argmax(1).numpy(), np.where(tops[0] == tops[1], tops[0], 3))
    assert architectures.outputs("agreement2-resnet8", 5) == 6
    assert architectures.outputs("ensemble2-resnet8", 5) == architectures.outputs("resnet8", 5) == 5
    assert network("agreement2-resnet8")(images()).shape == (40, 6)


@pytest.mark.parametrize(("how", "zeros"), [("rounded", 0.0), ("pruned30", 0.3), ("pruned99", 0.99)])
def test_edits_round_or_prune_the_weights_alone(how: str, zeros: float) -> None:
    model = network("resnet8")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    edit(model[1], how)
    for name, weight in model.state_dict().items():
        if name.startswith("0.") or weight.dim() < 2:
            assert torch.equal(weight, before[name])
        elif how == "rounded":
            assert torch.equal(weight, before[name].bfloat16().float())
            assert not torch.equal(weight, before[name])
        else:
            gone = weight == 0
            assert gone.sum() == round(zeros * weight.numel())
            assert before[name][gone].abs().max() <= before[name][~gone].abs().min()
            assert torch.equal(weight[~gone], before[name][~gone])


def test_a_hard_vote_of_all_is_the_mean() -> None:
    """If all members must agree, the class is that of the mean, for the mean of logits with one top class has it."""
    whole, mean = network("consensus3of3-resnet8"), network("ensemble3-resnet8")
    mean[1].load_state_dict(whole[1].state_dict())
    x = images(200)
    assert torch.equal(whole(x), mean(x))


@pytest.mark.parametrize("arch", ARCHS[:3])
def test_copies_of_one_network_are_the_network(arch: str) -> None:
    model, x = network(arch), images()
    first = model[1].members[0]
    for member in model[1].members:
        member.load_state_dict(first.state_dict())
    alone = first(model[0](x))
    combined = model(x)
    assert torch.equal(combined.argmax(1), alone.argmax(1))
    expected = alone.log_softmax(1) if arch.startswith("sween") else alone
    torch.testing.assert_close(combined, expected, rtol=1e-5, atol=1e-5)  # float32: three terms in a mean


def test_a_new_denoiser_is_the_identity() -> None:
    torch.manual_seed(0)
    model, x = models.build("denoised-resnet8", 5, MEAN, STD).eval(), images()
    assert torch.equal(model(x), model[1].members[0](model[0](x)))


@pytest.mark.parametrize("arch", ARCHS)
def test_folding_folds_each_member(arch: str) -> None:
    """The network behind the mean, on images in [0, 1]: batch norms and standard deviations are in the layers."""
    model, x = network(arch), images()
    mean, folded = models.fold(model)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(x - mean), model(x), rtol=1e-4, atol=1e-4)  # float32, other sums
    engine = build(model, x.shape[1:], device=CPU)
    torch.testing.assert_close(engine.logits(x), model(x).detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("arch", ARCHS)
def test_members_are_frozen(arch: str) -> None:
    model = network(arch)
    step = loop.Step(model, torch.optim.SGD(model.parameters(), 0.1), lambda *_: torch.zeros(()), "fp32", CPU)
    step.frozen(images(2))
    for module in (model.train(), model.eval().train(), step.model):
        network_ = module[1]
        assert not any(child.training for child in network_.members.modules())
        assert not any(weight.requires_grad for weight in network_.members.parameters())
        own = [weight for name, weight in network_.named_parameters() if not name.startswith("members.")]
        assert all(weight.requires_grad for weight in own)
        assert bool(own) == architectures.learns(arch)


@pytest.mark.parametrize(
    ("arch", "cost"), [("ensemble3-resnet20", 54), ("sween2-resnet56", 108), ("consensus2of5-resnet8", 30)]
)
def test_they_cost_what_their_members_cost(arch: str, cost: float) -> None:
    assert architectures.cost(arch) == cost
    assert architectures.families(arch) == {"ensemble", "resnet"}
    assert architectures.parts(arch) == parts(arch)
    assert architectures.parts("resnet20") == []


def test_a_denoiser_costs_its_convolutions() -> None:
    torch.manual_seed(0)
    model = models.build("denoised-resnet20", 10, MEAN, STD)[1]
    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    outer = [conv for conv in convolutions if conv not in list(model.members.modules())]
    exact = 32 * 32 * sum(conv.weight.numel() for conv in outer) / architectures.LAYER
    assert architectures.cost("denoised-resnet20") - 18 == pytest.approx(exact)


@pytest.fixture(scope="module")
def members(digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Weights of three networks for the digits."""
    about = {key: data.read(digits.train, ":2").meta[key] for key in models.INPUT}
    files = []
    for seed in range(3):
        torch.manual_seed(seed)
        model = models.build("resnet8", about["classes"], about["mean"], about["std"])
        files.append(tmp_path_factory.mktemp("members") / f"{seed}.safetensors")
        models.save(files[-1], model, {"kind": "base", "arch": "resnet8", "sigma": 0.25, **about})
    return files


def test_the_verb_assembles_them(members: list[Path], digits: SimpleNamespace, tmp_path: Path) -> None:
    output = tmp_path / "whole.safetensors"
    words = ["assemble", *map(str, members), "--arch", "ensemble3-resnet8", "--output", str(output)]
    assert cli.main(words) == 0
    model, description = models.load(output, "base")
    assert description["arch"] == "ensemble3-resnet8"
    x = torch.from_numpy(data.read(digits.test, ":9").pixels())
    expected = torch.stack([models.load(member, "base")[0](x) for member in members]).mean(0)
    torch.testing.assert_close(model(x), expected)


def test_the_verb_edits_one(members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, first = tmp_path / "edited.safetensors", str(members[0])
    assert cli.main(["assemble", first, "--edit", "pruned30", "--output", str(output)]) == 0
    edited, description = models.load(output, "base")
    expected = models.load(members[0], "base")[0]
    edit(expected[1], "pruned30")
    assert all(torch.equal(tensor, edited.state_dict()[name]) for name, tensor in expected.state_dict().items())
    assert (description["arch"], description["sources"]) == ("resnet8", {"members": [sha256(members[0])]})
    for words, message in (
        ([str(members[1]), "--edit", "pruned30"], "members must be one file, since --edit is pruned30, got 2"),
        (["--edit", "squashed"], "--edit must be rounded or such as pruned30, got squashed"),
        ([], "--arch or --edit must be set, but not both, got neither"),
        (["--edit", "rounded", "--arch", "ensemble1-resnet8"], "--arch or --edit must be set, but not both"),
    ):
        assert cli.main(["assemble", first, *words, "--output", str(output)]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arch", "count", "message"),
    [
        ("ensemble3-resnet8", 2, "members must be 3 files of weights for ensemble3-resnet8, got 2"),
        ("ensemble3-resnet14", 3, "must be made for arch resnet14, got resnet8"),
        ("sween3-resnet8", 3, "--arch must be an ensemble, such as ensemble3-resnet20, got 'sween3-resnet8'"),
        ("resnet8", 3, "--arch must be an ensemble, such as ensemble3-resnet20, got 'resnet8'"),
    ],
)
def test_members_that_do_not_fit(
    members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], arch: str, count: int, message: str
) -> None:
    output = tmp_path / "whole.safetensors"
    assert cli.main(["assemble", *map(str, members[:count]), "--arch", arch, "--output", str(output)]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    ("arch", "name", "count"), [("sween3-resnet8", "gaussian", 3), ("denoised-resnet8", "stability", 1)]
)
def test_training_leaves_the_members_as_they_are(
    members: list[Path], digits: SimpleNamespace, tmp_path: Path, arch: str, name: str, count: int
) -> None:
    """And learns the rest."""
    train, test = data.read(digits.train, ":128"), data.read(digits.test, ":20")
    settings = way(name).Settings(arch=arch, epochs=1, batch_size=64, lr=0.1, crop=0)
    output, teachers = tmp_path / "f.safetensors", members[:1] if name == "stability" else []
    arguments = (train, test, output, name, settings, 0.25, "gaussian", 0, CPU)
    base.train(*arguments, teachers=teachers, members=members[:count], code="")
    trained = models.load(output, "base")[0][1]
    for member, file in zip(trained.members, members, strict=False):
        for key, tensor in models.load(file, "base")[0][1].state_dict().items():
            assert torch.equal(member.state_dict()[key], tensor), key
    learnt = trained.v if arch.startswith("sween") else trained.last.weight
    assert (learnt != 0).any()
    with pytest.raises(InputError, match="members must be"):
        base.train(*arguments, teachers=teachers, code="")


def test_an_ensemble_has_nothing_to_train(members: list[Path], digits: SimpleNamespace, tmp_path: Path) -> None:
    train = data.read(digits.train, ":8")
    settings = way("gaussian").Settings(arch="ensemble3-resnet8", epochs=1)
    with pytest.raises(InputError, match="arch must have weights to train, got 'ensemble3-resnet8'"):
        base.train(
            train, train, tmp_path / "f", "gaussian", settings, 0.25, "gaussian", 0, CPU, members=members, code=""
        )


def test_stability_asks_the_teacher_without_noise() -> None:
    """The loss on a linear f and a linear teacher, written out."""
    torch.manual_seed(2)
    f, teacher = torch.randn(2, 4, 6, dtype=torch.float64)
    x, noise = torch.rand(3, 6, 1, 1, dtype=torch.float64), torch.randn(3, 6, 1, 1, dtype=torch.float64)
    smoothed = base.Smoothed(
        lambda z: z.flatten(1) @ f.T,
        None,
        lambda *_: noise,
        None,
        None,
        0,
        None,
        [Teacher(lambda z: z.flatten(1) @ teacher.T, 1.0)],
    )
    loss = way("stability").loss(smoothed, x, torch.zeros(3), torch.ones(3), None)
    expected = [
        -log_softmax(f.numpy() @ (x[i] + noise[i]).numpy().ravel())[(teacher.numpy() @ x[i].numpy().ravel()).argmax()]
        for i in range(3)
    ]
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-12)
