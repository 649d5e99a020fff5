"""Whether a plan can be driven and costs what it says, from its JSON alone. Shares no code with the agent."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

EARTH_RADIUS_MI = 3958.7613
ROUNDED_MI = 0.11
"""By which a leg may differ from the great circle: it is rounded to tenths."""


@dataclass(frozen=True)
class CheckedPlan:
    """The objective, computed again, and everything that is wrong."""

    objective_cents: int
    problems: tuple[str, ...]


def check_plan(document: bytes) -> CheckedPlan:
    """Check a plan."""
    plan: dict[str, Any] = json.loads(document)
    checker = _Checker(plan)
    problems = tuple(checker.run())
    return CheckedPlan(checker.objective, problems)


class _Checker:
    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        given = plan["problem"]
        self.lunch, self.rates, self.legs = given["lunch"], given["rates"], given["legs"]
        self.jobs = {job["id"]: job for job in given["jobs"]}
        self.people = {person["id"]: person for person in given["technicians"]}
        self.rows = {name: row for row, name in enumerate([*self.people, *self.jobs])}
        self.objective = 0

    def run(self) -> Iterator[str]:
        yield from self.travel()
        seen: list[str] = []
        spent = 0
        who = [route["technician"] for route in self.plan["routes"]]
        if len(set(who)) != len(who):
            yield "a technician has two routes"
        for route in self.plan["routes"]:
            yield from self.route(route)
            spent += self.cost(route)
            seen += [stop["work_order"] for stop in route["stops"]]
        if len(set(seen)) != len(seen):
            yield "a job is visited twice"
        left = self.jobs.keys() - set(seen)
        if {each["work_order"] for each in self.plan["not_visited"]} != left:
            yield "not_visited does not list exactly what no route visits"
        for each in self.plan["not_visited"]:
            if each["at_risk_cents_per_day"] != self.worth(each["work_order"]) or not each["detail"]:
                yield f"{each['work_order']}: its price or reason is wrong"
            yield from self.reason(each)
        yield from (f"{job} must be visited" for job in sorted(left) if self.jobs[job]["must_visit"])
        at_risk = sum(map(self.worth, left))
        self.objective = spent + at_risk
        totals = self.plan["totals"]
        if (totals["cost_cents"], totals["left_cents_per_day"]) != (spent, at_risk):
            yield "the totals are not the sums of the routes"
        if totals["objective_cents"] != self.objective:
            yield "the objective is not cost plus money left at risk"
        yield from self.change()

    def worth(self, job: str) -> int:
        risk = self.jobs[job]["risk"]
        rate, price, interest, chance = (
            risk[name] for name in ("rate_bbl_per_day", "price_usd_per_bbl", "net_interest", "probability")
        )
        worth: int = round(100 * rate * price * interest * chance)
        return worth

    def travel(self) -> Iterator[str]:
        words = self.legs["source"].split()
        if words[:2] != ["great", "circle"]:
            return
        factor, speed = float(words[3]), float(words[5])
        places = [*self.people.values(), *self.jobs.values()]
        for one, start in enumerate(places):
            for other, end in enumerate(places):
                miles = 0.0 if one == other else factor * _great_circle(start, end)
                if abs(self.legs["tenths"][one][other] / 10 - miles) > ROUNDED_MI:
                    yield f"the leg from {start['id']} to {end['id']} is not its length"
                if not 0 <= self.legs["minutes"][one][other] - 60 * miles / speed < 1.001:
                    yield f"the leg from {start['id']} to {end['id']} is driven at another speed"

    def elapsed(self, start: int, end: int) -> int:
        """Minutes between two times without those of lunch."""
        begins, minutes = int(self.lunch["starts"]), int(self.lunch["minutes"])
        pause = begins, begins + minutes
        return end - start - max(0, min(end, pause[1]) - max(start, pause[0]))

    def route(self, route: dict[str, Any]) -> Iterator[str]:
        person = self.people[route["technician"]]
        at, free = person["id"], _minute(route["leaves"])
        if free < person["shift_starts"]:
            yield f"{at} leaves before the shift"
        for stop in route["stops"]:
            name, job = stop["work_order"], self.jobs[stop["work_order"]]
            if not set(job["skills"]) <= set(person["skills"]):
                yield f"{person['id']} lacks a skill for {name}"
            arrives, begins, ends = (_minute(stop[moment]) for moment in ("arrives", "begins", "ends"))
            yield from self.work(name, job, arrives, begins, ends)
            if (stop["drive_min"], stop["drive_tenth_mi"]) != self.leg(at, name):
                yield f"the leg to {name} is not the matrix's"
            if self.elapsed(free, arrives) != stop["drive_min"]:
                yield f"{name} is not reached at its time of arrival"
            at, free = name, ends
        home = _minute(route["returns"])
        if (route["home_min"], route["home_tenth_mi"]) != self.leg(at, person["id"]):
            yield f"the way home of {person['id']} is not the matrix's"
        if self.elapsed(free, home) != route["home_min"]:
            yield f"{person['id']} is not home at the time of return"
        if self.elapsed(person["shift_ends"], home) > self.rates["max_overtime"] and home > person["shift_ends"]:
            yield f"{person['id']} is home too late"
        if route["cost_cents"] != self.cost(route):
            yield f"the route of {person['id']} costs something else"

    def work(self, name: str, job: dict[str, Any], arrives: int, begins: int, ends: int) -> Iterator[str]:
        if not max(arrives, job["opens"]) <= begins <= job["closes"]:
            yield f"{name} begins outside its window or before the arrival"
        if self.lunch["minutes"] and 0 <= begins - self.lunch["starts"] < self.lunch["minutes"]:
            yield f"{name} begins during lunch"
        if self.elapsed(begins, ends) != job["minutes"]:
            yield f"{name} does not take its minutes"

    def leg(self, start: str, end: str) -> tuple[int, int]:
        one, other = self.rows[start], self.rows[end]
        return self.legs["minutes"][one][other], self.legs["tenths"][one][other]

    def cost(self, route: dict[str, Any]) -> int:
        person = self.people[route["technician"]]
        away = self.elapsed(_minute(route["leaves"]), _minute(route["returns"]))
        shift = self.elapsed(person["shift_starts"], person["shift_ends"])
        tenths = sum(stop["drive_tenth_mi"] for stop in route["stops"]) + route["home_tenth_mi"]
        rates = self.rates
        cost: int = tenths * rates["cents_per_tenth_mile"] + away * rates["cents_per_minute"]
        return cost + max(0, away - shift) * int(rates["overtime_cents_per_minute"])

    def reason(self, left: dict[str, Any]) -> Iterator[str]:
        skills = set(self.jobs[left["work_order"]]["skills"])
        able = any(skills <= set(person["skills"]) for person in self.people.values())
        if (left["reason"] == "no_skill") is able:
            yield f"{left['work_order']}: no_skill is said if and only if somebody has the skills"

    def change(self) -> Iterator[str]:
        change = self.plan["change"]
        if change is None:
            return
        after = {route["technician"]: [stop["work_order"] for stop in route["stops"]] for route in self.plan["routes"]}
        moved = sum(len(jobs) - _common(jobs, after.get(who, [])) for who, jobs in change["before"].items())
        if moved != change["moved"] or moved > change["max_moved"]:
            yield f"{moved} stops moved: {change['moved']} are said, {change['max_moved']} allowed"


def _common(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence."""
    best = [0] * (len(other) + 1)
    for left in one:
        row = [0]
        for place, right in enumerate(other):
            row.append(best[place] + 1 if left == right else max(best[place + 1], row[-1]))
        best = row
    return best[-1]


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return 60 * int(hours) + int(minutes)


def _great_circle(start: dict[str, Any], end: dict[str, Any]) -> float:
    """By the spherical law of cosines in its form for short ways (Vincenty on a sphere)."""
    first, second = math.radians(start["latitude"]), math.radians(end["latitude"])
    turn = math.radians(end["longitude"] - start["longitude"])
    across = math.hypot(
        math.cos(second) * math.sin(turn),
        math.cos(first) * math.sin(second) - math.sin(first) * math.cos(second) * math.cos(turn),
    )
    along = math.sin(first) * math.sin(second) + math.cos(first) * math.cos(second) * math.cos(turn)
    return EARTH_RADIUS_MI * math.atan2(across, along)
