"""Asking a process for its figures as Prometheus does."""

import asyncio
import urllib.request
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a process told."""

    families: dict[str, Metric]

    def value(self, sample: str, **labels: str) -> float:
        """Return the sum of a sample's series that have these labels among theirs; 0 when there are none."""
        return sum(
            each.value
            for family in self.families.values()
            for each in family.samples
            if each.name == sample and labels.items() <= each.labels.items()
        )

    def samples(self) -> set[str]:
        """Return the names that a query may use, those of families without series included."""
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        return {name + suffix for name, family in self.families.items() for suffix in suffixes.get(family.type, ("",))}


def scrape(port: int) -> Scrape:
    """Ask the process whose figures are on a loopback port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return Scrape({family.name: family for family in text_string_to_metric_families(text)})


async def scraped(port: int) -> Scrape:
    """Do so beside this loop, which may be the one that is asked."""
    return await asyncio.to_thread(scrape, port)
