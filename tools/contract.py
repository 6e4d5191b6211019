"""Hold a service to its description: schemathesis asks each address of /openapi.json what fits it and what does not.

    python tools/contract.py                  ten examples of each kind for every operation
    python tools/contract.py --examples 100

The same every time: examples come from the operation's name. The checks are schemathesis' own, all but four:
`positive_data_acceptance`, since bytes that fit "a file" are no picture, and a case of any number is not there;
`use_after_free`, `ensure_resource_availability` and `object_level_authorization`, which look at sequences of calls: the
tests of each part do that.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

if TYPE_CHECKING:
    from people import People

LEFT_OUT = (
    "positive_data_acceptance",
    "use_after_free",
    "ensure_resource_availability",
    "object_level_authorization",
    "max_response_time",
)
EXAMPLES = 10
TOO_LARGE = ("413", "414")
"""Refusals that schemathesis takes for a yes: over 200 fields of a form are 413, and not 422, which tells of each."""
_TOLD = 1500
"""Signs of a request and of its answer that a report shows."""


@dataclass
class Held:
    """How many operations and requests there were, the answers by status, and where the description is broken."""

    operations: int = 0
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


def checks() -> list:
    """The checks that are made."""
    load_all_checks()
    return [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in LEFT_OUT]


def hold(url: str, headers: Mapping[str, str], examples: int = EXAMPLES) -> Held:
    """Ask every operation, with data that fits and with data that does not; `headers` say who asks."""
    found = Held()
    document = httpx.get(f"{url}/openapi.json").json()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        schema = schemathesis.openapi.from_dict(document if mode is GenerationMode.POSITIVE else _open(document))
        schema.config.update(base_url=url)
        rejection = schema.config.checks.negative_data_rejection
        rejection.expected_statuses = [*rejection.expected_statuses, *TOO_LARGE]
        for result in schema.get_all_operations():
            found.operations += mode is GenerationMode.POSITIVE
            _ask(result.ok(), mode, dict(headers), examples, found)
    return found


def asker(people: "People") -> dict[str, str]:
    """The key of an admin whose number is none that is asked for first: what is asked ends logins and revokes keys."""
    for number in range(30):
        people.key("reader", name=f"R{number}")
    return people.key("admin")


def _open(document: dict) -> dict:
    """A description without login: data that does not fit is sent by somebody who has entered, as any other."""
    copy = json.loads(json.dumps(document))
    copy.get("components", {}).pop("securitySchemes", None)
    for operation in (one for item in copy["paths"].values() for one in item.values()):
        operation.pop("security", None)
    return copy


def _ask(operation, mode, headers: dict, examples: int, found: Held) -> None:
    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except Exception as error:  # what takes nothing cannot be sent what does not fit
        if mode is GenerationMode.POSITIVE:
            found.broken.append(f"{operation.label}: no data ({error})")
        return

    failed: list[str] = []

    @hypothesis.seed(operation.label)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @hypothesis.given(case=strategy)
    def ask(case) -> None:
        answer = case.call(headers=headers)
        found.requests += 1
        found.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=checks(), headers=headers)
        except BaseException:
            failed.append(_sent(case, answer))  # now: what is drawn again may be answered otherwise
            raise

    def told() -> str:
        return "\n".join(failed[:2])

    try:
        ask()
    except hypothesis.errors.Unsatisfiable:
        return
    except BaseExceptionGroup as group:
        found.broken += [f"{operation.label}: {error}\n{told()}" for error in group.exceptions]
    except Exception as error:
        found.broken.append(f"{operation.label}: {type(error).__name__} {error}\n{told()}")


def _sent(case, answer) -> str:
    """What was sent and what came back, as far as anybody wants to read it."""
    body = answer.request.body or b""
    data = body if isinstance(body, bytes) else str(body).encode()
    drawn = f"drawn: {repr(case.body)[:_TOLD]}\nsent: {len(data)} bytes, {data[:_TOLD]!r}"
    return f"{drawn}\nanswer: {answer.status_code} {answer.text[:_TOLD]}"


def main() -> int:
    """Start a service of its own and hold it; 1 where its description is broken."""
    from live import serving
    from people import People

    from dermoscope.serve import throttle
    from dermoscope.serve.options import Options

    throttle.FREE_OF_ADDRESS = 10**6  # wrong keys are tried by the hundred
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dermoscope-") as folder, serving(Options(folder=Path(folder))) as live:
        found = hold(live.url, asker(People(live.service)), given.examples)
    if given.json:
        print(json.dumps(asdict(found), indent=1))
    else:
        print(f"{found.operations} operations, {found.requests} requests, {dict(found.statuses)}")
        print("\n\n".join(found.broken) or "as it is described")
    return 1 if found.broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
