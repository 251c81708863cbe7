"""The service for Python programs: the nouns of its REST interface, typed, over one connection.

    with Client("https://tablegate.example", key) as service:
        release = service.request(dataset, epsilon=1.0, delta=1e-6, policy="internal", purpose="...", recipient="...")
        if service.wait(release.id).state == "published":
            service.accept_terms(release.id)
            service.download_all(release.id, Path("bundle"))

Answers are the models of `api.web.wire`. What the service refuses is raised as a `ServiceError` that says what, why and
how to fix it. A large file goes up and comes down in pieces; a download that broke off is taken up where it stopped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import TypeAdapter

from api.access.roles import Scope
from api.calls import ServiceError, check, events
from api.web.wire import (
    Card,
    Chain,
    DatasetOut,
    FileOut,
    Findings,
    Gauge,
    KeyMade,
    KeyOut,
    Me,
    NoticeOut,
    PolicyOut,
    PriceOut,
    ReauditAsked,
    ReauditOut,
    Received,
    RecordOut,
    ReleaseOut,
    ReviewedRelease,
    Step,
    StewardDataset,
    Terms,
    VoteOut,
    WorkerOut,
)
from api.web.wire_monitors import CheckFound, CheckOut, MonitorOut

BLOCK_BYTES = 1 << 20
PAGE_SIZE = 100
PARTIAL = ".part"

Kind = Literal["csv", "csv.gz", "parquet"]
Dataset = StewardDataset | DatasetOut
Release = ReviewedRelease | ReleaseOut
Answer = TypeVar("Answer")

DATASET: TypeAdapter[Dataset] = TypeAdapter(Dataset)
RELEASE: TypeAdapter[Release] = TypeAdapter(Release)


@dataclass(frozen=True, slots=True)
class Client:
    """A service, as whoever owns the key.

    Attributes:
        url: of the service.
        key: `tg_...`.
        transport: for tests; over the network by default.
        seconds: how long an answer may take.
    """

    url: str
    key: str = field(repr=False)
    transport: httpx2.BaseTransport | None = field(default=None, repr=False)
    seconds: float = 60.0
    _http: httpx2.Client = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}
        http = httpx2.Client(base_url=self.url, headers=headers, transport=self.transport, timeout=self.seconds)
        object.__setattr__(self, "_http", http)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def me(self) -> Me:
        """Who the service takes you for."""
        return self._get(TypeAdapter(Me), "/me")

    def keys(self) -> list[KeyOut]:
        """Your keys."""
        return self._get(TypeAdapter(list[KeyOut]), "/me/keys")

    def make_key(self, label: str, days: int = 90, scopes: Sequence[Scope] = ()) -> KeyMade:
        """A new key of yours, limited to scopes where some are named; its text is given this once."""
        asked = {"label": label, "days": days, "scopes": list(scopes)}
        return self._send(TypeAdapter(KeyMade), "POST", "/me/keys", asked)

    def end_key(self, key: str) -> None:
        """End a key of yours."""
        self._call("DELETE", f"/me/keys/{key}")

    def notices(self) -> list[NoticeOut]:
        """What you must know."""
        return self._get(TypeAdapter(list[NoticeOut]), "/me/notices")

    def read_notice(self, notice: str) -> None:
        """Say that you have read a notice."""
        self._call("POST", f"/me/notices/{notice}/reading")

    def datasets(self) -> Iterator[Dataset]:
        """The datasets you have a role for, the newest first."""
        return self._pages(DATASET, "/datasets", {})

    def dataset(self, dataset: str) -> Dataset:
        """One dataset."""
        return self._get(DATASET, f"/datasets/{dataset}")

    def register(self, title: str, schema: Path, keep_until: str = "") -> Dataset:
        """Register a dataset by its schema file, YAML or JSON."""
        asked = {
            "title": title,
            "table_schema": schema.read_text(encoding="utf-8"),
            "format": "json" if schema.suffix == ".json" else "yaml",
            "keep_until": keep_until,
        }
        return self._send(DATASET, "POST", "/datasets", asked)

    def upload(self, dataset: str, table: Path) -> Received:
        """Send a table; its kind is that of its name: .csv, .csv.gz or .parquet."""
        with table.open("rb") as file:
            pieces = iter(lambda: file.read(BLOCK_BYTES), b"")
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(table.stat().st_size)}
            answer = self._call(
                "PUT", f"/datasets/{dataset}/table", params={"kind": _kind(table)}, content=pieces, headers=headers
            )
        return Received.model_validate_json(answer.content)

    def mock(self, dataset: str, rows: int = 100) -> bytes:
        """A mock table as CSV, made up from the schema alone."""
        return self._call("GET", f"/datasets/{dataset}/mock", params={"rows": rows}).content

    def erase(self, dataset: str, reason: str) -> None:
        """Have a dataset's table erased."""
        self._call("POST", f"/datasets/{dataset}/erasure", json={"reason": reason})

    def budget(self, dataset: str) -> Gauge:
        """What the dataset's population has spent."""
        return self._get(TypeAdapter(Gauge), f"/datasets/{dataset}/budget")

    def set_cap(self, dataset: str, epsilon: float, delta: float, reason: str) -> Gauge:
        """Record another cap."""
        asked = {"epsilon": epsilon, "delta": delta, "reason": reason}
        return self._send(TypeAdapter(Gauge), "PUT", f"/datasets/{dataset}/cap", asked)

    def price(self, dataset: str, *, epsilon: float, delta: float, policy: str, **recipe: Any) -> PriceOut:
        """What a release would cost; nothing is charged. `recipe`: further fields of `api.web.wire.Recipe`."""
        asked = {"epsilon": epsilon, "delta": delta, "policy": policy, **recipe}
        return self._send(TypeAdapter(PriceOut), "POST", f"/datasets/{dataset}/quotes", asked)

    def request(
        self,
        dataset: str,
        *,
        epsilon: float,
        delta: float,
        policy: str,
        purpose: str,
        recipient: str,
        once: str = "",
        **recipe: Any,
    ) -> Release:
        """Ask for a release, and charge it. With `once`, an id of your own, asking twice is asking once."""
        asked = {"epsilon": epsilon, "delta": delta, "policy": policy, "purpose": purpose, "recipient": recipient}
        headers = {"Idempotency-Key": once} if once else None
        return self._send(RELEASE, "POST", f"/datasets/{dataset}/releases", asked | recipe, headers)

    def releases(self, dataset: str = "") -> Iterator[Release]:
        """Releases you may see, the newest first."""
        return self._pages(RELEASE, "/releases", {"dataset": dataset} if dataset else {})

    def release(self, release: str) -> Release:
        """One release."""
        return self._get(RELEASE, f"/releases/{release}")

    def progress(self, release: str) -> Iterator[Step]:
        """Steps as they happen, until the release comes to rest. A connection that breaks off is made again."""
        last = 0
        while True:
            headers = {"Last-Event-ID": str(last), "Accept": "text/event-stream"}
            try:
                with self._http.stream("GET", f"/v1/releases/{release}/events", headers=headers) as answer:
                    check(answer)
                    for kind, data in events(answer.iter_lines()):
                        if kind == "rest":
                            return
                        step = Step.model_validate_json(data)
                        last = step.id
                        yield step
            except (httpx2.RemoteProtocolError, httpx2.ReadTimeout):
                continue

    def wait(self, release: str) -> Release:
        """A release once it has come to rest: with people, or at its end."""
        for _ in self.progress(release):
            pass
        return self.release(release)

    def cancel(self, release: str, reason: str) -> Release:
        """Take a request back."""
        return self._send(RELEASE, "POST", f"/releases/{release}/cancellation", {"reason": reason})

    def card(self, release: str) -> Mapping[str, Any]:
        """The scorecard as its recipient has it."""
        return self._get(TypeAdapter(Card), f"/releases/{release}/card").scorecard

    def findings(self, release: str) -> Mapping[str, Any]:
        """Exact findings and the gate's decision: internal."""
        return self._get(TypeAdapter(Findings), f"/releases/{release}/findings").scorecard

    def votes(self, release: str) -> list[VoteOut]:
        """What was said of a release."""
        return self._get(TypeAdapter(list[VoteOut]), f"/releases/{release}/votes")

    def vote(self, release: str, *, bundle: str, approve: bool, reason: str) -> Release:
        """Say whether a release may leave; `bundle` is that of the release you looked at."""
        said = {"bundle": bundle, "approve": approve, "reason": reason}
        return self._send(RELEASE, "POST", f"/releases/{release}/votes", said)

    def audit_again(self, release: str) -> str:
        """Have a released table audited once more; the id of the re-audit."""
        return self._send(TypeAdapter(ReauditAsked), "POST", f"/releases/{release}/reaudits", {}).id

    def reaudits(self, release: str) -> list[ReauditOut]:
        """What the gate decided each time a released table was audited again: internal."""
        return self._get(TypeAdapter(list[ReauditOut]), f"/releases/{release}/reaudits")

    def set_monitor(self, release: str, *, epsilon: float, delta: float, **changed: Any) -> MonitorOut:
        """Have a release compared with new versions. `changed`: further fields of `NewMonitor`."""
        asked = {"epsilon": epsilon, "delta": delta, **changed}
        return self._send(TypeAdapter(MonitorOut), "PUT", f"/releases/{release}/monitor", asked)

    def monitor(self, release: str) -> MonitorOut:
        """The monitor of a release, and what its next check would cost."""
        return self._get(TypeAdapter(MonitorOut), f"/releases/{release}/monitor")

    def end_monitor(self, release: str) -> None:
        """Compare a release no more."""
        self._call("DELETE", f"/releases/{release}/monitor")

    def compare(self, release: str) -> CheckOut:
        """Have the version at hand compared with a release now. The same version again is the same check."""
        return self._send(TypeAdapter(CheckOut), "POST", f"/releases/{release}/checks", {})

    def checks(self, release: str) -> list[CheckOut]:
        """Every comparison of a release, the newest first."""
        return self._get(TypeAdapter(list[CheckOut]), f"/releases/{release}/checks")

    def check(self, release: str, check: str) -> CheckFound:
        """One comparison, with what it found once it is done."""
        return self._get(TypeAdapter(CheckFound), f"/releases/{release}/checks/{check}")

    def check_file(self, release: str, check: str, name: str) -> bytes:
        """A file of a comparison: `report.html`, `monitor.json`, `weights.csv` or `weights.parquet`."""
        return self._call("GET", f"/releases/{release}/checks/{check}/files/{quote(name)}").content

    def cancel_check(self, release: str, check: str, reason: str) -> CheckOut:
        """Stop a comparison."""
        path = f"/releases/{release}/checks/{check}/cancellation"
        return self._send(TypeAdapter(CheckOut), "POST", path, {"reason": reason})

    def withdraw(self, release: str, reason: str) -> Release:
        """Take a released table back; whoever took it is told."""
        return self._send(RELEASE, "POST", f"/releases/{release}/withdrawal", {"reason": reason})

    def terms(self, release: str) -> Terms:
        """The terms of use."""
        return self._get(TypeAdapter(Terms), f"/releases/{release}/terms")

    def accept_terms(self, release: str, digest: str) -> Terms:
        """Accept the terms you read, by their digest."""
        return self._send(TypeAdapter(Terms), "POST", f"/releases/{release}/terms/acceptance", {"digest": digest})

    def files(self, release: str) -> list[FileOut]:
        """The files of a released bundle."""
        return self._get(TypeAdapter(list[FileOut]), f"/releases/{release}/files")

    def download(self, release: str, name: str, target: Path) -> Path:
        """Take one file. It appears under its name when it is whole; what broke off is taken up again."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + PARTIAL)
        held = partial.stat().st_size if partial.exists() else 0
        headers = {"Range": f"bytes={held}-"} if held else {}
        with self._http.stream("GET", f"/v1/releases/{release}/files/{quote(name)}", headers=headers) as answer:
            check(answer)
            with partial.open("ab" if answer.status_code == httpx2.codes.PARTIAL_CONTENT else "wb") as file:
                for block in answer.iter_bytes(BLOCK_BYTES):
                    file.write(block)
        os.replace(partial, target)
        return target

    def download_all(self, release: str, folder: Path) -> Path:
        """Take the whole bundle into a folder, for `tablegate verify`."""
        for file in self.files(release):
            self.download(release, file.name, _inside(folder, file.name))
        return folder

    def records(self) -> Iterator[RecordOut]:
        """The audit log from its beginning."""
        after: int | None = 0
        while after is not None:
            part = self._call("GET", "/records", params={"after": after, "limit": PAGE_SIZE}).json()
            yield from (RecordOut.model_validate(item) for item in part["items"])
            after = part["next"]

    def verify(self) -> list[Chain]:
        """Have the chains of the records recomputed."""
        return self._get(TypeAdapter(list[Chain]), "/records/verification")

    def workers(self) -> list[WorkerOut]:
        """The slots that run jobs."""
        return self._get(TypeAdapter(list[WorkerOut]), "/workers")

    def policies(self) -> list[PolicyOut]:
        """The policies releases are judged by."""
        return self._get(TypeAdapter(list[PolicyOut]), "/policies")

    def _get(self, kind: TypeAdapter[Answer], path: str) -> Answer:
        return kind.validate_json(self._call("GET", path).content)

    def _send(
        self,
        kind: TypeAdapter[Answer],
        method: str,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        return kind.validate_json(self._call(method, path, json=body, headers=headers).content)

    def _pages(self, kind: TypeAdapter[Answer], path: str, params: Mapping[str, str]) -> Iterator[Answer]:
        before: str | None = ""
        while before is not None:
            part = self._call("GET", path, params={**params, "limit": PAGE_SIZE, "before": before}).json()
            yield from (kind.validate_python(item) for item in part["items"])
            before = part["next"]

    def _call(self, method: str, path: str, **given: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, f"/v1{path}", **given)
        except httpx2.TransportError as error:
            raise ServiceError(
                "The service does not answer.",
                why=f"No answer came ({type(error).__name__}).",
                fix="Check the address, and whether it runs.",
            ) from error
        check(answer)
        return answer


def _kind(table: Path) -> Kind:
    """The kind of a table by its name."""
    if table.name.endswith(".parquet"):
        return "parquet"
    return "csv.gz" if table.name.endswith(".gz") else "csv"


def _inside(folder: Path, name: str) -> Path:
    """A file below a folder. Raises ServiceError for a name that leads out of it."""
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ServiceError(
            "A file of the bundle has a name that leads elsewhere.",
            why="It would be written outside the folder.",
            fix="Do not use this bundle; tell whoever runs the service.",
        )
    return target
