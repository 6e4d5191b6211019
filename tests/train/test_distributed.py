"""Two processes that speak through gloo train the model that one trains.

Run as a script by accelerate's launcher, it trains the small run into the folder that is its last argument.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dermoscope.core.cases import Case, CaseSet
from dermoscope.core.errors import RecipeError
from dermoscope.core.taxonomy import ISIC2019
from dermoscope.data.files import read_scores
from dermoscope.predict.bundle import head_weights, load
from dermoscope.train.batches import TrainingPictures
from dermoscope.train.distributed import check_share, joint_normalisation, processes
from dermoscope.train.loop import fit, stages
from dermoscope.train.pictures import Pictures
from dermoscope.train.recipes import DEFAULT
from dermoscope.train.runs import SERVED, read_run

LAUNCH = [
    *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"),
]

# dropout draws its masks in each process; everything else is the same arithmetic in another order
RECIPE = replace(
    DEFAULT,
    backbone="test_efficientnet",
    pretrained=False,
    size=32,
    head=((1, 32),),
    phases=((2, 32),),
    average=((1, 32),),
    batch=16,
    dropout=0.0,
    mixup=0.3,
)


def data() -> TrainingPictures:
    """48 cases of four diagnoses, told apart by their colour."""
    rng = np.random.default_rng(0)
    cases = CaseSet(tuple(Case(f"i{k}", diagnosis=ISIC2019.codes[k % 4]) for k in range(48)), ISIC2019)
    colours = np.array([(200, 60, 60), (60, 200, 60), (60, 60, 200), (180, 180, 60)])[np.arange(48) % 4]
    pixels = np.clip(rng.normal(colours[:, None, None], 30, (48, 40, 40, 3)), 0, 255).astype(np.uint8)
    pictures = Pictures(pixels.reshape(-1), np.arange(48) * 4800, np.full((48, 2), 40), "made")
    return TrainingPictures(cases, pictures, np.arange(48), np.ones(48, int))


def launched(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *LAUNCH, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@pytest.mark.slow
def test_two_processes_train_the_model_that_one_trains(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    alone = fit(RECIPE, stages(RECIPE), data(), tmp_path / "alone").state_dict()
    done = launched(__file__, tmp_path / "together")
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(re.findall(r"gloo:\d/\d", done.stdout)) == ["gloo:0/2", "gloo:1/2"]  # lines may run together
    together = torch.load(tmp_path / "together" / "weights.pt", weights_only=True)
    assert alone.keys() == together.keys()
    worst = {name: float((alone[name].float() - together[name].float()).abs().max()) for name in alone}
    moved = fit(RECIPE, [], data(), tmp_path / "untrained").state_dict()
    travelled = max(
        float((alone[name].float() - moved[name].float()).abs().max()) for name in alone if "num_" not in name
    )
    assert travelled > 0.1
    assert max(worst.values()) < 1e-3 * travelled, max(worst, key=worst.__getitem__)
    logs = [
        [json.loads(line) for line in (tmp_path / k / "log.jsonl").read_text().splitlines()]
        for k in ("alone", "together")
    ]
    for ours, theirs in zip(*logs, strict=True):
        assert ours["stage"] == theirs["stage"]
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-4)


@pytest.mark.slow
def test_a_whole_run_of_two_processes_leaves_what_one_leaves(synthetic: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("test_runs.py")
    done = launched(script, synthetic, tmp_path / "together")
    assert done.returncode == 0, done.stderr[-2000:]
    subprocess.run([sys.executable, script, synthetic, tmp_path / "alone"], check=True, capture_output=True)
    ours, theirs = read_run(tmp_path / "alone"), read_run(tmp_path / "together")
    assert (theirs.state, theirs.environment["processes"], ours.environment["processes"]) == ("finished", 2, 1)
    assert ours.data == theirs.data
    assert set(theirs.bundles) == {"chosen", "bundle"}
    assert load(tmp_path / "together" / "bundle").sha256 == theirs.bundles["bundle"]
    scores = [read_scores(tmp_path / k / SERVED, ISIC2019) for k in ("alone", "together")]
    assert scores[0].ids == scores[1].ids
    np.testing.assert_allclose(scores[0].values, scores[1].values, atol=2e-3)
    heads = [head_weights(load(tmp_path / k / "bundle"))[0] for k in ("alone", "together")]
    np.testing.assert_allclose(heads[0], heads[1], atol=0.01 * np.abs(heads[0]).max())


def test_a_batch_that_cannot_be_shared() -> None:
    check_share(32, 1)
    check_share(32, 4)
    for batch, count in ((32, 3), (4, 4), (2, 2)):
        with pytest.raises(
            RecipeError, match=rf"a batch of {batch} cannot be shared by {count} processes: it must be a"
        ):
            check_share(batch, count)


def test_one_process_normalises_as_ever() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert processes().num_processes == 1
    with joint_normalisation(network):
        assert "forward" not in vars(network[1])


def main(out: Path) -> None:
    torch.set_num_threads(1)
    group = processes()
    print(f"{torch.distributed.get_backend()}:{group.process_index}/{group.num_processes}", flush=True)
    reader = fit(RECIPE, stages(RECIPE), data(), out)
    if group.is_main_process:
        torch.save(reader.state_dict(), out / "weights.pt")
    group.wait_for_everyone()
    group.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
