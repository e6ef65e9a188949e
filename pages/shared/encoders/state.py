"""What stands between an encoder and its scores on this machine: weights, memory, heads."""

from dataclasses import dataclass
from pathlib import Path

from core.embedding.devices import device_of
from core.embedding.memory import MemoryCheck, too_large
from core.embedding.registry import EncoderSpec, encoder_specs
from core.embedding.weights import command_of, what_is_missing
from core.errors import MissingError
from core.settings import PROJECT_ROOT, get_settings
from pages.shared import resources


@dataclass(frozen=True)
class EncoderState:
    """An encoder and what is at hand for it.

    Attributes:
        spec: its registry entry.
        missing: why it cannot be loaded (weights, server), or None.
        heads: whether risk heads of it are here.
    """

    spec: EncoderSpec
    missing: MissingError | None
    heads: bool

    @property
    def note(self) -> str:
        """What it lacks, in two or three words; empty where scores are at hand."""
        if self.missing is not None:
            return "no server" if self.spec.remote else "weights not here"
        return "" if self.heads else "no heads"

    @property
    def loaded(self) -> bool:
        """Whether it is in memory now."""
        return resources.shelf().peek(self.spec.name) is not None

    @property
    def memory(self) -> MemoryCheck:
        """What it needs, and what is free for it once idle encoders give way."""
        return resources.shelf().check(self.spec)

    @property
    def obstacle(self) -> MissingError | None:
        """Why no text can be embedded with it: weights not here, or not enough memory. None where it can."""
        if self.missing is not None or self.spec.remote or self.loaded:
            return self.missing
        memory = self.memory
        return None if memory.fits else too_large(self.spec, memory, device_of())


@dataclass(frozen=True)
class Step:
    """One thing that is missing: what, why or how, and the command that mends it (or an empty text)."""

    what: str
    how: str
    command: str = ""


def state_of(spec: EncoderSpec) -> EncoderState:
    """Look at what is here for an encoder; nothing is loaded."""
    folder = get_settings().heads / spec.name
    return EncoderState(spec, what_is_missing(spec), any(folder.glob("*.npz")))


def states() -> dict[str, EncoderState]:
    """Every encoder of the registry by name, those that can score first."""
    found = [state_of(spec) for spec in encoder_specs().values()]
    found.sort(key=lambda state: (state.missing is not None, not state.heads))
    return {state.spec.name: state for state in found}


def steps(state: EncoderState, dataset: Path) -> list[Step]:
    """What has to be done until this encoder scores the records of a dataset, in order; empty where it does."""
    name, found = state.spec.name, []
    obstacle = state.obstacle
    if obstacle is not None:
        command = command_of(obstacle)
        found.append(Step(sentence(obstacle.what), "" if command else f"{sentence(obstacle.fix)}.", command))
    if not state.heads:
        found += [
            Step(
                f"There are no risk heads for {name}",
                "Heads belong to the encoder that they were trained on: those of another one say nothing here. "
                "Embed a cohort with labels once (the cache keeps it; --engine ray uses many machines), then train.",
                f"python -m core embed {short(dataset)} --out features/{name} --encoder {name}\n"
                f"python -m core train-heads {short(get_settings().heads / name)} --dataset {short(dataset)} "
                f"--encoder {name}",
            ),
            Step(
                "To see how good they are",
                "the benchmark compares them with counts and with other encoders on held-out patients.",
                f"python -m core benchmark {short(dataset)} --features features/{name} --out results/{name}",
            ),
        ]
    return found


def stop(step: Step) -> str:
    """What ends a step's heading: a comma where the explanation goes on in lower case, else a full stop."""
    return "," if step.how[:1].islower() else "."


def sentence(text: str) -> str:
    """Begin with a capital letter, as a page does."""
    return text[:1].upper() + text[1:]


def short(path: Path) -> str:
    """Return ``path`` as it is typed in the project's folder, quoted where it has a space."""
    text = str(path.relative_to(PROJECT_ROOT)) if path.is_relative_to(PROJECT_ROOT) else str(path)
    return f'"{text}"' if " " in text else text
