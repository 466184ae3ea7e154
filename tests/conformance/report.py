"""Reads pytest's JUnit report: prints `passed N`, `failed N` and a line for each reason to skip, with tabs between."""

import sys
import xml.etree.ElementTree as xml
from collections import Counter


def main(path: str):
    """One report."""
    suite = next(xml.parse(path).getroot().iter("testsuite"))
    total, failed, errors, skipped = (int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped"))
    print(f"passed\t{total - failed - errors - skipped}")
    print(f"failed\t{failed + errors}")
    reasons = Counter(skip.get("message") for skip in suite.iter("skipped"))
    for reason, times in reasons.items():
        print(f"skipped\t{times} because {reason}")


if __name__ == "__main__":
    main(sys.argv[1])
