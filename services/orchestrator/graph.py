"""Every playbook, one line an edge. A released version is never edited: the next one goes beside it."""

from dataclasses import replace

from contracts.catalogue import CATALOGUE
from contracts.events import case_manager, compliance, drafter, email_sender, memory, router, specialists, triage
from switchyard.protocol.events.case_manager import (
    ApprovalDenied,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalReturned,
    BranchesJoined,
    ConsentExpired,
    ConsentGranted,
    WaitOver,
)
from switchyard.protocol.events.failures import ReauthNeeded, TaskFailed
from switchyard.protocol.events.router import AskApproval, AskConsent, Wait
from switchyard.router.playbook import Playbook, RoutingTable, end_case, gather_step, on, optional_step, task_step

ASSIST_1 = Playbook(
    "assist/1",
    task_step("triage", router.ChooseAgent, attempts=3, seconds=30),
    task_step("specialist", router.AnswerQuestion, attempts=3, seconds=60),
    task_step("drafter", router.DraftAnswer, attempts=3, seconds=60),
    on(case_manager.CaseOpened, go="specialist", having="agent"),
    on(case_manager.CaseOpened, go="triage"),
    on(triage.AgentChosen, go="specialist"),
    on(triage.NoAgentFits, end_case("no_agent", "no_agent_fits", "No specialist's card fits the question.")),
    on(specialists.FindingsReady, go="drafter"),
    on(drafter.AnswerDrafted, end_case("answered", "answered")),
    on(TaskFailed, end_case("failed")),
)

ASSIST_2 = ASSIST_1.with_p95("assist/2", triage=4, specialist=20, drafter=8)  # the same, with its P95s in seconds

# A user whose consent has ended is asked for it, and the case goes on.
ASSIST_3 = Playbook(
    "assist/3",
    *ASSIST_2.steps.values(),
    task_step("consent", AskConsent, node="case_manager", attempts=1, seconds=3 * 86_400, p95=0),
    *ASSIST_2.edges,
    on(ReauthNeeded, go="consent", at_most=5),
    on(ReauthNeeded, end_case("expired", "needs_reauth", "The user's consent ended too often.")),
    on(ConsentGranted, go="specialist"),
    on(ConsentExpired, end_case("expired")),
)

# Up to three specialists, each for a part of the question, at once or one after another; and a later turn of a session
# begins with what was said before, if memory has it in time.
ASSIST_4 = Playbook(
    "assist/4",
    optional_step("recall", "memory", "memory", seconds=4, p95=1),
    task_step("memory", router.RecallMemory, attempts=2, seconds=3, p95=1),
    task_step("keep", router.KeepTurn, node="memory", attempts=5, seconds=30, p95=0),
    task_step("triage", router.ChooseAgent, attempts=3, seconds=30, p95=4, given={"at_most": 3}),
    *(step for step in ASSIST_3.steps.values() if step.name != "triage"),
    gather_step("gather", "specialist", "consent", at_most=3, p95=20),
    on(case_manager.CaseOpened, go="recall", having="previous_case"),
    on(case_manager.CaseOpened, go="recall", having="remember"),
    on(memory.MemoryRecalled, go="recall"),
    on(BranchesJoined, go="specialist", after="recall", having="agent"),
    on(BranchesJoined, go="triage", after="recall"),
    on(drafter.AnswerDrafted, end_case("answered", "answered"), also="keep"),
    *(edge for edge in ASSIST_3.edges if edge.event is not drafter.AnswerDrafted),
    on(triage.AgentsChosen, go="gather"),
    on(BranchesJoined, go="drafter"),
)

OUTBOUND_EMAIL_1 = Playbook(
    "outbound_email/1",
    task_step("precheck", router.CheckContact, node="compliance", attempts=3, seconds=30),
    task_step("draft", router.DraftEmail, node="drafter", attempts=3, seconds=60),
    task_step("review", router.ReviewEmail, node="compliance", attempts=3, seconds=60),
    task_step("approval", AskApproval, node="case_manager", attempts=1, seconds=3 * 86_400, content="email"),
    task_step("check", router.CheckSending, node="compliance", attempts=3, seconds=30),
    task_step("wait", Wait, node="case_manager", attempts=1, seconds=30 * 86_400),
    task_step("send", router.SendEmail, node="email_sender", attempts=5, seconds=60),
    on(case_manager.EmailCaseOpened, go="precheck"),
    on(compliance.ContactAllowed, go="draft"),
    on(compliance.ContactBlocked, end_case("blocked")),
    on(drafter.EmailDrafted, go="review"),
    on(compliance.RevisionNeeded, go="draft", at_most=2),
    on(compliance.RevisionNeeded, end_case("blocked")),
    on(compliance.EmailBlocked, end_case("blocked")),
    on(compliance.EmailPassed, go="approval", having="approval"),
    on(compliance.EmailPassed, go="check"),
    on(ApprovalGranted, go="check"),
    on(ApprovalDenied, end_case("denied")),
    on(ApprovalExpired, end_case("expired")),
    on(compliance.ReviewOutdated, go="review"),
    on(compliance.SendingDeferred, go="wait"),
    on(WaitOver, go="check"),
    on(compliance.SendingAllowed, go="send"),
    on(email_sender.SendingHalted, go="wait"),
    on(email_sender.SendingTooLate, go="check"),
    on(email_sender.SendingStopped, end_case("stopped")),
    on(email_sender.EmailUndeliverable, end_case("undeliverable")),
    on(email_sender.SendingUnknown, end_case("unknown")),
    on(email_sender.EmailSent, end_case("sent", "sent")),
    on(TaskFailed, end_case("failed")),
)

# An approver may send a draft back with instructions: a new draft, which passes every check again.
OUTBOUND_EMAIL_2 = Playbook(
    "outbound_email/2",
    *(step for step in OUTBOUND_EMAIL_1.steps.values() if step.name != "approval"),
    replace(OUTBOUND_EMAIL_1.steps["approval"], given={"returnable": True}),
    *OUTBOUND_EMAIL_1.edges,
    on(ApprovalReturned, go="draft", at_most=3),
    on(ApprovalReturned, end_case("denied", "returned_too_often", "The draft was sent back too often.")),
)

_RELEASED = (ASSIST_1, ASSIST_2, ASSIST_3, ASSIST_4, OUTBOUND_EMAIL_1, OUTBOUND_EMAIL_2)
PLAYBOOKS = {playbook.version: playbook for playbook in _RELEASED}
# What a new case gets; open cases keep theirs.
CURRENT = {"assist": ASSIST_4.version, "outbound_email": OUTBOUND_EMAIL_2.version}
ROUTING_TABLE = RoutingTable(CATALOGUE, PLAYBOOKS)
