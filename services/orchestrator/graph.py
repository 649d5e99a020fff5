"""Every playbook, one line an edge. A released version is never edited: the next one goes beside it."""

from contracts.events import case_manager, compliance, drafter, email_sender, failures, router, specialists, triage
from switchyard.router.playbook import Playbook, ask, close, on

ASSIST_1 = Playbook(
    "assist/1",
    ask("triage", router.ChooseAgent, attempts=3, seconds=30),
    ask("specialist", router.AnswerQuestion, attempts=3, seconds=60),
    ask("drafter", router.DraftAnswer, attempts=3, seconds=60),
    on(case_manager.CaseOpened, go="specialist", having="agent"),
    on(case_manager.CaseOpened, go="triage"),
    on(triage.AgentChosen, go="specialist"),
    on(triage.NoAgentFits, close("no_agent", "no_agent_fits", "No specialist's card fits the question.")),
    on(specialists.FindingsReady, go="drafter"),
    on(drafter.AnswerDrafted, close("answered", "answered")),
    on(failures.TaskFailed, close("failed")),
)

ASSIST_2 = ASSIST_1.timed("assist/2", triage=4, specialist=20, drafter=8)  # the same, with its P95s in seconds

OUTBOUND_EMAIL_1 = Playbook(
    "outbound_email/1",
    ask("precheck", router.CheckContact, node="compliance", attempts=3, seconds=30),
    ask("draft", router.DraftEmail, node="drafter", attempts=3, seconds=60),
    ask("review", router.ReviewEmail, node="compliance", attempts=3, seconds=60),
    ask("approval", router.AskApproval, node="desk", attempts=1, seconds=3 * 86_400),
    ask("check", router.CheckSending, node="compliance", attempts=3, seconds=30),
    ask("wait", router.Wait, node="desk", attempts=1, seconds=30 * 86_400),
    ask("send", router.SendEmail, node="courier", attempts=5, seconds=60),
    on(case_manager.EmailCaseOpened, go="precheck"),
    on(compliance.ContactAllowed, go="draft"),
    on(compliance.ContactBlocked, close("blocked")),
    on(drafter.EmailDrafted, go="review"),
    on(compliance.RevisionNeeded, go="draft", at_most=2),
    on(compliance.RevisionNeeded, close("blocked")),
    on(compliance.EmailBlocked, close("blocked")),
    on(compliance.EmailPassed, go="approval", having="approval"),
    on(compliance.EmailPassed, go="check"),
    on(case_manager.ApprovalGranted, go="check"),
    on(case_manager.ApprovalDenied, close("denied")),
    on(case_manager.ApprovalExpired, close("expired")),
    on(compliance.ReviewOutdated, go="review"),
    on(compliance.SendingDeferred, go="wait"),
    on(case_manager.WaitOver, go="check"),
    on(compliance.SendingAllowed, go="send"),
    on(email_sender.SendingHeld, go="wait"),
    on(email_sender.SendingTooLate, go="check"),
    on(email_sender.SendingRefused, close("stopped")),
    on(email_sender.EmailUndeliverable, close("undeliverable")),
    on(email_sender.SendingUnknown, close("unknown")),
    on(email_sender.EmailSent, close("sent", "sent")),
    on(failures.TaskFailed, close("failed")),
)

PLAYBOOKS = {playbook.version: playbook for playbook in (ASSIST_1, ASSIST_2, OUTBOUND_EMAIL_1)}
# What a new case gets; open cases keep theirs.
CURRENT = {
    "assist": ASSIST_2.version,
    "outbound_email": OUTBOUND_EMAIL_1.version,
}
