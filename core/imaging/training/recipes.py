"""How each shipped segmenter is made: one recipe a model, everything that its card needs to say."""

from dataclasses import dataclass

from core.errors import InputError
from core.imaging.preprocess import Preprocessing


@dataclass(frozen=True)
class Round:
    """One run of the learning rate from its highest value to zero; a later round starts from the weights kept so far.

    Attributes:
        epochs: passes over the training cases.
        learning_rate: its highest value.
        bright: how often pictures that are mostly bright stand in an epoch (the rare kind in microscopy).
        by_area: they stand there as often as crops fit into them, if that is more.
        everything: train on the validation cases too; nothing is left to choose an epoch by, so its end is kept.
    """

    epochs: int
    learning_rate: float = 2e-3
    bright: int = 1
    by_area: bool = False
    everything: bool = False


@dataclass(frozen=True)
class Recipe:
    """Data, network and training of one segmenter. Fields without a comment go to the card as they are."""

    name: str
    title: str
    purpose: str
    modality: str
    classes: tuple[tuple[str, str], ...]  # (name, hex colour) by index; 0 is the background
    data: str
    licence: str
    attribution: str
    split: str
    limits: tuple[str, ...]
    warnings: tuple[str, ...]
    preprocessing: Preprocessing
    phantom: str
    augmentation: str
    unit: str = "image"  # what one Dice value is about
    view: str | None = None  # axis along which a volume is cut
    encoder: str = "tu-regnetx_002"
    encoder_depth: int = 5
    decoder_channels: tuple[int, ...] = (80, 56, 32, 16, 16)
    crop: int = 0  # side of random training crops; 0: the whole grid
    rounds: tuple[Round, ...] = (Round(60), Round(15, learning_rate=7e-4, everything=True))
    imagenet: bool = False  # the encoder begins with ImageNet weights, and not with random ones
    operating_point: bool = False  # the background's logit is lowered by what is best for the validation Dice
    half: bool = False  # kernels are written as float16, which halves the file
    batch: int = 4
    bfloat16: bool = True  # mixed precision where the CPU has it: 1.7 times as fast
    weight_decay: float = 0.02
    phantom_share: float = 0.10
    fractions: tuple[float, float] = (0.10, 0.20)  # validation and test share of the groups

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by index."""
        return tuple(name for name, _ in self.classes)


_NOT_A_DEVICE = "Research and teaching only. Not a medical device; never use it for diagnosis or treatment."

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="chest-xray",
            title="Lungs in chest radiographs",
            purpose="Marks the lungs, the lung behind the heart included, in frontal chest radiographs.",
            modality="radiography",
            classes=(("background", "#000000"), ("lung", "#0072B2")),
            data=(
                "344 paediatric frontal chest radiographs with lung masks, and drawn phantoms (1 in 10). The encoder "
                "began with ImageNet weights."
            ),
            licence="CC BY 4.0 (images and masks)",
            attribution=(
                "Images: Kermany, Zhang, Goldbaum 2018, Mendeley Data, doi 10.17632/rscbjbr9sj.2. "
                "Masks: V7 Labs and CloudFactory, covid-19-xray-dataset. The encoder's first weights: "
                "EfficientNet-Lite0 (Tan and Le 2019; TensorFlow, Apache-2.0)."
            ),
            split="By person: every image of a person is in one part only.",
            limits=(
                "Trained on children of one to five years from one hospital; nothing else was measured.",
                "Frontal views only. Masks are drawn outlines with the lung behind the heart, not aerated lung.",
                "Images are stretched to 256 x 256, so detail below about 3 pixels of a 768 pixel image is not seen.",
            ),
            warnings=(_NOT_A_DEVICE,),
            preprocessing=Preprocessing(channels=1, resize="stretch", size=256, low=0.5, high=99.5, std=0.5),
            phantom="radiograph",
            augmentation="radiograph",
            encoder="tu-tf_efficientnet_lite0",
            imagenet=True,
            half=True,
            rounds=(Round(14, learning_rate=1e-3), Round(6, learning_rate=5e-4, everything=True)),
        ),
        Recipe(
            name="nuclei",
            title="Nuclei in microscopy",
            purpose="Marks cell nuclei against the background in fluorescence and stained microscopy.",
            modality="microscopy",
            classes=(("background", "#000000"), ("nucleus", "#E69F00")),
            data=(
                "470 microscopy images with nuclei outlined, and drawn phantoms (1 in 10). The encoder began with "
                "ImageNet weights."
            ),
            licence="CC0 1.0",
            attribution=(
                "Data Science Bowl 2018 stage 1, corrected masks (BBBC038; Caicedo et al. 2019). The encoder's first "
                "weights: EfficientNet-Lite0 (Tan and Le 2019; TensorFlow, Apache-2.0)."
            ),
            split="By image.",
            limits=(
                "Semantic: touching nuclei are one region.",
                "Nuclei of about 8 to 60 pixels across; rescale other magnifications first.",
                "Most of the training images are fluorescence; stained tissue is read less well.",
                "Stained pictures with hardly any nuclei are read worst: one of 94 in the test has a Dice of 0.27.",
            ),
            warnings=(_NOT_A_DEVICE,),
            preprocessing=Preprocessing(channels=3, resize="native", low=0.5, high=99.8, std=0.5, tile=512),
            phantom="microscopy",
            augmentation="microscopy",
            crop=192,
            encoder="tu-tf_efficientnet_lite0",
            imagenet=True,
            half=True,
            rounds=(
                Round(22, learning_rate=1e-3, bright=3, by_area=True),
                Round(8, learning_rate=5e-4, bright=3, by_area=True, everything=True),
            ),
        ),
        Recipe(
            name="ultrasound-nerve",
            title="Nerve and vessel in ultrasound",
            purpose="Marks nerves and vessels in ultrasound frames of regional anaesthesia.",
            modality="ultrasound",
            classes=(("background", "#000000"), ("nerve", "#F0E442"), ("vessel", "#D55E00")),
            data=(
                "204 ultrasound frames with nerves and vessels outlined, and drawn phantoms (1 in 10). The encoder "
                "began with ImageNet weights."
            ),
            licence="CC BY 4.0",
            attribution=(
                "tmkand/usgra-seg, dataset of ultrasound-guided regional anaesthesia. The encoder's first weights: "
                "EfficientNet-Lite2 (Tan and Le 2019; TensorFlow, Apache-2.0)."
            ),
            split=(
                "By neighbours in number: blocks of consecutive frames, as there are no subject ids. Frames are in no "
                "order of likeness, so none are dropped beside a block, but those nearly equal to a held-out one are."
            ),
            limits=(
                "Few frames of unknown people and devices: expect misses on other scanners and body regions.",
                "People are not identified in the data: frames of one person may stand on both sides of the split.",
            ),
            warnings=(_NOT_A_DEVICE,),
            preprocessing=Preprocessing(channels=1, resize="fit", size=384, low=0.0, high=99.8, std=0.5),
            phantom="ultrasound",
            augmentation="ultrasound",
            crop=320,
            # 140 frames are few to learn edges and shading from
            encoder="tu-tf_efficientnet_lite2",
            imagenet=True,
            half=True,
            operating_point=True,
            rounds=(Round(45, learning_rate=7e-4), Round(20, learning_rate=7e-4, everything=True)),
        ),
        Recipe(
            name="hippocampus",
            title="Hippocampus in MR slices",
            purpose="Marks the anterior and posterior hippocampus in sagittal slices of T1 MR crops.",
            modality="MR",
            classes=(("background", "#000000"), ("anterior", "#009E73"), ("posterior", "#CC79A7")),
            data="199 MR crops around the hippocampus, cut into sagittal slices, and drawn phantoms (1 in 10).",
            licence="CC BY-SA 4.0 (these weights are derived from the data and carry the same licence)",
            attribution=(
                "Medical Segmentation Decathlon, Task04 Hippocampus (Antonelli et al. 2022, Nat Commun 13:4128)."
            ),
            split="By volume; a volume's slices are in one part only.",
            limits=(
                "Crops of about 35 x 50 x 35 mm at 1 mm around the hippocampus; whole heads must be cropped first.",
                "Sagittal slices, superior up and anterior to the left, as the NIfTI reader shows them.",
            ),
            warnings=(_NOT_A_DEVICE,),
            preprocessing=Preprocessing(channels=1, resize="native", low=0.5, high=99.5, stride=16, tile=256),
            phantom="brain",
            augmentation="brain",
            crop=64,
            unit="volume",
            view="sagittal",
            encoder_depth=4,
            decoder_channels=(96, 64, 32, 24),
            rounds=(Round(10),),
            batch=16,
            bfloat16=False,
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """The recipe of a shipped segmenter.

    Raises:
        InputError: there is no such recipe.
    """
    if name not in RECIPES:
        raise InputError(f"there is no segmenter recipe {name!r}", f"choose one of {', '.join(RECIPES)}")
    return RECIPES[name]
