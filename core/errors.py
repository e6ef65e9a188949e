"""Errors that a user can act on."""


class ChartlightError(Exception):
    """Something the user can mend. The message says what is wrong and how to fix it, in one line.

    Args:
        what: what is wrong, without a full stop ("the file x.png is not an image").
        fix: what to do about it ("give a PNG, JPEG, TIFF, DICOM or NIfTI file").
    """

    def __init__(self, what: str, fix: str):
        self.what = " ".join(what.split())
        self.fix = " ".join(fix.split())
        super().__init__(f"{self.what}; {self.fix}")


class InputError(ChartlightError):
    """Data, arguments or files given by the user are wrong."""


class MissingError(ChartlightError):
    """Something that has to be installed, downloaded or made first is not there."""
