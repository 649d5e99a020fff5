"""Every playbook, one line an edge. A released version is never edited: the next one goes beside it."""

from __future__ import annotations

from contracts import events
from switchyard.protocol.catalogue import OutcomeClass
from switchyard.protocol.events.failures import TaskFailed
from switchyard.router.playbook import Playbook, end_case, on, task_step

REQUESTS_1 = Playbook(
    "requests/1",
    task_step("assistant", events.WriteReply, attempts=3, seconds=60),
    on(events.RequestOpened, go="assistant"),
    on(events.ReplyWritten, end_case("answered", "answered")),
    on(TaskFailed, end_case("failed")),
)

PLAYBOOKS = {playbook.version: playbook for playbook in (REQUESTS_1,)}
# What a new case gets; open cases keep theirs.
CURRENT = {playbook.name: playbook.version for playbook in (REQUESTS_1,)}
# Whether a case that ends so reached its goal, was stopped by a decision, or failed.
OUTCOMES: dict[str, OutcomeClass] = {"answered": "reached"}
