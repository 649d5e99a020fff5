"""Every playbook, one line an edge. A released version is never edited: the next one goes beside it."""

from contracts.events.desk import CaseOpened
from contracts.events.drafter import AnswerDrafted
from contracts.events.failures import TaskFailed
from contracts.events.router import AnswerQuestion, ChooseAgent, DraftAnswer
from contracts.events.specialists import FindingsReady
from contracts.events.triage import AgentChosen, NoAgentFits
from services.orchestrator.playbook import Playbook, ask, close, on

ASSIST_1 = Playbook(
    "assist/1",
    ask("triage", ChooseAgent, attempts=3, seconds=30),
    ask("specialist", AnswerQuestion, attempts=3, seconds=60),
    ask("drafter", DraftAnswer, attempts=3, seconds=60),
    on(CaseOpened, go="specialist", having="agent"),
    on(CaseOpened, go="triage"),
    on(AgentChosen, go="specialist"),
    on(NoAgentFits, close("no_agent", "no_agent_fits", "No specialist's card fits the question.")),
    on(FindingsReady, go="drafter"),
    on(AnswerDrafted, close("answered", "answered")),
    on(TaskFailed, close("failed")),
)

PLAYBOOKS = {playbook.version: playbook for playbook in (ASSIST_1,)}
CURRENT = {"assist": ASSIST_1.version}  # what a new case gets; open cases keep theirs
