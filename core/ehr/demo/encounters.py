"""What an outpatient visit, an emergency visit and a hospital stay write into a chart."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.ehr.demo.admissions import goes_to_intensive_care, length_of_stay
from core.ehr.demo.chart import Chart
from core.ehr.demo.chest import chest_findings
from core.ehr.demo.content import (
    BACKGROUND,
    CHEMOTHERAPY,
    CONDITION_CODES,
    CONDITION_DRUGS,
    INTENSIVE_CARE,
    INTENSIVE_CARE_DRUGS,
    PRODROME,
    REASONS,
    SEVERE_CODES,
    SUPERSEDED,
    Weighted,
)
from core.ehr.demo.measurements import (
    Constitution,
    Illness,
    Reading,
    body_metrics,
    lab_panel,
    under_chemotherapy,
    vital_signs,
)
from core.ehr.demo.person import Draw, Person, logistic

PRODROME_DAYS = {
    "hypertension": 1500,
    "hyperlipidemia": 1500,
    "infarction": 420,
    "pancan": 450,
    "lupus": 600,
    "celiac": 600,
}
LABEL_HOUR = timedelta(hours=23, minutes=59)


@dataclass(frozen=True)
class Stay:
    """What follows from a stay."""

    end: datetime
    died: bool


@dataclass
class Encounters:
    """Writes encounters of one person; remembers drugs once prescribed, so that records stay consistent."""

    person: Person
    own: Constitution
    chart: Chart
    draw: Draw
    prescribed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    appointments: list[tuple[datetime, str]] = field(default_factory=list)  # (time, condition that it finds)
    chest: list[tuple[datetime, int]] = field(default_factory=list)
    outpatient_panels: list[datetime] = field(default_factory=list)
    midnight_panels: list[datetime] = field(default_factory=list)

    def outpatient(self, at: datetime, must_record: str | None = None) -> None:
        """A clinic visit."""
        draw, chart = self.draw, self.chart
        at = at.replace(hour=draw.randint(8, 16), minute=draw.choice((0, 15, 30, 45)))
        visit = chart.open_visit("OP", at, at + timedelta(minutes=draw.choice((20, 30, 45, 60))))
        if draw.chance(0.75):
            self._readings(
                at + timedelta(minutes=5), vital_signs(self.person, self.own, at, self.drugs(at), draw), visit
            )
        if draw.chance(0.6):
            self._readings(at + timedelta(minutes=6), body_metrics(self.person, at, draw), visit, keep=0.85)
        codes = self._conditions(at, 0.72)
        if must_record:
            codes = [CONDITION_CODES[must_record][0][0], *codes]
        codes += self._prodrome(at) + self._pick(BACKGROUND)
        chart.diagnoses(at + timedelta(minutes=12), dict.fromkeys(codes or ["Z00.00"]), visit)
        chart.drugs(at + timedelta(minutes=15), [d for d in self.drugs(at) if draw.chance(0.65)], visit)
        if under_chemotherapy(self.person, at):
            self._chemotherapy(at + timedelta(minutes=18), visit)
        if draw.chance(0.62):
            result = at + timedelta(minutes=draw.randint(60, 240))
            self._readings(result, lab_panel(self.person, self.own, at, self.drugs(at), draw), visit, keep=0.93)
            self.outpatient_panels.append(result.replace(second=0, microsecond=0))
        self._special_tests(at + timedelta(minutes=250), visit, 0.3)

    def emergency(self, at: datetime) -> None:
        """An emergency visit without admission."""
        draw, chart = self.draw, self.chart
        visit = chart.open_visit("ER", at, at + timedelta(hours=draw.uniform(1.5, 9)))
        self._readings(at, vital_signs(self.person, self.own, at, self.drugs(at), draw), visit)
        codes = self._pick(BACKGROUND) or [draw.choice(("S93.409A", "R51.9", "R10.84", "M54.50", "R07.9"))]
        low = self._low_glucose_code(at)
        if low and draw.chance(0.5):
            codes.append(low)
        codes += self._prodrome(at) + self._conditions(at, 0.4)
        chart.diagnoses(at + timedelta(minutes=40), dict.fromkeys(codes), visit)
        chart.drugs(at + timedelta(minutes=45), [draw.choice(("161", "5640", "26225"))], visit)

    def stay(self, at: datetime, reason: str) -> Stay:
        """A hospital stay from this admission on."""
        draw, chart, person, kind = self.draw, self.chart, self.person, REASONS[reason]
        severity = kind.severity + draw.normal(0, 0.75)
        ill = Illness(reason, severity)
        length = length_of_stay(person, at, reason, severity, draw)
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        intensive, moved = goes_to_intensive_care(severity, reason, draw), at
        if intensive:
            length = max(length * 1.35, timedelta(days=2.5))
            early = draw.chance(0.2)
            moved = at + timedelta(hours=2) if early else midnight + timedelta(hours=draw.uniform(1, 30))
        end = (at + length).replace(hour=draw.randint(10, 17), minute=draw.randint(0, 59), second=0, microsecond=0)
        if end <= at + timedelta(hours=3):
            end = midnight + timedelta(hours=draw.uniform(10, 16))
        visit = chart.open_visit("IP", at, end)
        self._first_day(at, ill, visit)
        if intensive:
            self._intensive_care(moved, min(end, moved + timedelta(days=draw.uniform(1, 5))), visit)
        self._later_days(midnight, end, ill, visit)
        report = midnight + LABEL_HOUR  # the report's label is predicted 24 hours before, at the end of the first day
        if report < end and draw.chance(0.85):
            chart.procedures(report, ["BW03ZZZ"], visit)
            findings = chest_findings(person, at, ill, intensive and moved < report, draw)
            self.chest.append((report - timedelta(hours=24), findings))
        died = draw.chance(logistic(-6.2 + 1.3 * severity + 0.04 * (person.age(at) - 65)))
        return Stay(end, died)

    def drugs(self, at: datetime) -> dict[str, None]:
        """Drugs of all known conditions, in a stable order."""
        taken: dict[str, None] = {}
        for condition in self._known(at):
            if condition not in self.prescribed:
                self.prescribed[condition] = tuple(self._pick(CONDITION_DRUGS.get(condition, ())))
            taken.update(dict.fromkeys(self.prescribed[condition]))
        return taken

    def _first_day(self, at: datetime, ill: Illness, visit: int) -> None:
        draw, chart, kind = self.draw, self.chart, REASONS[ill.reason]
        last = at.replace(hour=23, minute=50)

        def after(minutes: float) -> datetime:
            return min(at + timedelta(minutes=minutes), last)

        self._readings(after(10), vital_signs(self.person, self.own, at, self.drugs(at), draw, ill), visit)
        if draw.chance(0.5):
            self._readings(after(12), body_metrics(self.person, at, draw), visit)
        codes = self._pick(kind.codes)
        codes += [code for code, weight in SEVERE_CODES if draw.chance(weight * logistic(4.0 * ill.severity - 3.4))]
        if ill.reason == "hypoglycemia":
            codes.append(self._low_glucose_code(at) or "R41.82")
        codes += self._prodrome(at) + self._conditions(at, 0.9)
        chart.diagnoses(after(35), dict.fromkeys(codes), visit)
        self._readings(after(50), lab_panel(self.person, self.own, at, self.drugs(at), draw, ill), visit, keep=0.96)
        chart.drugs(after(70), dict.fromkeys(self._pick(kind.drugs)), visit)
        chart.drugs(after(90), [d for d in self.drugs(at) if draw.chance(0.7)], visit)

    def _intensive_care(self, at: datetime, end: datetime, visit: int) -> None:
        self.chart.add(at, "CARE_SITE/ICU", "visit_detail", end=end, visit=visit)
        self.chart.procedures(at + timedelta(minutes=20), self._pick(INTENSIVE_CARE), visit)
        self.chart.drugs(at + timedelta(minutes=30), self._pick(INTENSIVE_CARE_DRUGS), visit)

    def _later_days(self, midnight: datetime, end: datetime, ill: Illness, visit: int) -> None:
        draw, chart, kind = self.draw, self.chart, REASONS[ill.reason]
        if midnight < end and draw.chance(0.9):
            panel = lab_panel(self.person, self.own, midnight, self.drugs(midnight), draw, ill)
            self._readings(midnight, panel, visit, keep=0.97)
            self.midnight_panels.append(midnight)
        done = min(midnight + timedelta(hours=draw.uniform(8, 20)), end - timedelta(minutes=30))
        chart.procedures(done, self._pick(kind.procedures), visit)
        easing = Illness(ill.reason, ill.severity * 0.4)
        day = midnight + timedelta(days=2, hours=6)
        while day < end:
            self._readings(day, lab_panel(self.person, self.own, day, self.drugs(day), draw, easing), visit, keep=0.8)
            self._readings(day, vital_signs(self.person, self.own, day, self.drugs(day), draw, easing), visit)
            day += timedelta(days=3)
        close = end - timedelta(minutes=20)
        if under_chemotherapy(self.person, end) and draw.chance(0.3):
            self._chemotherapy(close, visit)
        self._special_tests(done, visit, 0.5)

    def _known(self, at: datetime) -> list[str]:
        person = self.person
        known = [condition for condition in person.diagnosed if person.known(condition, at)]
        return [c for c in known if not (c in SUPERSEDED and person.known(SUPERSEDED[c], at))]

    def _conditions(self, at: datetime, share: float) -> list[str]:
        """Codes of the known conditions; each code is recorded with its own probability times ``share``."""
        codes = []
        for condition in self._known(at):
            codes += [code for code, p in CONDITION_CODES.get(condition, ()) if self.draw.chance(p * share)]
        if "E11.9" in codes and self.person.known("ckd3", at):
            codes.append("E11.22")
        if self.person.smoking != "never" and self.draw.chance(0.5):
            codes.append("F17.210" if self.person.smoking == "current" else "Z87.891")
        if self.person.bmi > 32 and self.draw.chance(0.5):
            codes.append("E66.9")
        low = self._low_glucose_code(at)
        if low and self.draw.chance(self.own.brittle):
            codes.append(low)
        return codes

    def _low_glucose_code(self, at: datetime) -> str | None:
        if self.person.known("type1", at):
            return "E10.649"
        return "E11.649" if self.person.known("insulin", at) else None

    def _prodrome(self, at: datetime) -> list[str]:
        codes = []
        for condition, signs in PRODROME.items():
            diagnosed = self.person.suspected.get(condition)
            if diagnosed is None or not timedelta(0) < diagnosed - at < timedelta(
                days=PRODROME_DAYS.get(condition, 330)
            ):
                continue
            if not self.person.has(condition, at) and condition in ("hypertension", "hyperlipidemia"):
                continue
            codes += self._pick(signs)
        return codes

    def _chemotherapy(self, at: datetime, visit: int) -> None:
        kinds = [kind for kind in CHEMOTHERAPY if self.person.known(kind, at)]
        self.chart.diagnoses(at, ["Z51.11"], visit)
        self.chart.drugs(at, dict.fromkeys(d for kind in kinds for d in CHEMOTHERAPY[kind]), visit)
        self.chart.procedures(at, ["3E03305"], visit)

    def _special_tests(self, at: datetime, visit: int, share: float) -> None:
        """Tests of single conditions, for those who have them."""
        person, draw = self.person, self.draw
        tests: list[Reading] = []
        if person.has("diabetes", at) or person.has("type1", at):
            tests.append(("4548-4", round(draw.normal(7.8, 1.2), 1), "%"))
        if person.age(at) > 40:
            ldl = draw.normal(112, 22) + 35 * (person.has("hyperlipidemia", at) - person.known("hyperlipidemia", at))
            tests.append(("13457-7", round(max(30, ldl)), "mg/dL"))
        if person.has("heart_failure", at):
            tests.append(("33762-6", round(draw.lognormvariate(7.4, 0.7)), "pg/mL"))
        if person.has("chronic_pancreatitis", at) or person.has("pancan", at):
            tests.append(("3040-3", round(draw.lognormvariate(4.6, 0.6)), "U/L"))
        if person.has("arthritis", at) or person.has("lupus", at):
            tests.append(("1988-5", round(draw.lognormvariate(2.6, 0.8), 1), "mg/L"))
        tests.append(("1751-7", round(draw.normal(4.1 - 0.9 * person.has("cirrhosis", at), 0.3), 1), "g/dL"))
        self._readings(at, tests, visit, keep=share)

    def _readings(self, at: datetime, readings: list[Reading], visit: int, keep: float = 1.0) -> None:
        """Add readings; each is missing with probability ``1 - keep``, and one in 400 is a slip of the keyboard."""
        draw = self.draw
        kept = [reading for reading in readings if keep == 1.0 or draw.chance(keep)]
        if kept and draw.chance(0.02):
            slip = draw.randrange(len(kept))
            code, number, unit = kept[slip]
            if code in ("8310-5", "29463-7", "8867-4"):
                kept[slip] = (code, number * 10, unit)
        self.chart.readings(at, kept, visit)

    def _pick(self, weighted: Weighted) -> list[str]:
        return [code for code, probability in weighted if self.draw.chance(probability)]
