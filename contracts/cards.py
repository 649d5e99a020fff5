"""The agent cards of this application: the first of the five steps to a new agent (docs/build/adding-an-agent.md)."""

from __future__ import annotations

from switchyard.app.cards import AgentCard

TRIAGE_CARD = AgentCard(
    name="triage",
    kind="internal",
    purpose="Chooses the specialist whose card fits a question, or says that none does.",
    consumes=("ChooseAgent",),
    emits=("AgentChosen", "NoAgentFits", "TaskFailed"),
    vendors=("bedrock", "openai"),
    decrypts=("question",),
)

TEXT_TO_SQL_CARD = AgentCard(
    name="text_to_sql",
    kind="specialist",
    purpose=(
        "Answers questions about wells, monthly production, downtime, work orders and technicians by querying the "
        "operator's warehouse (Snowflake) as the asking user. Read only."
    ),
    examples=(
        "Which ten wells produced the most oil in June 2026?",
        "How many hours of downtime did the Wolfcamp wells have last quarter, by cause?",
        "Which open work orders are assigned to technicians in Midland?",
    ),
    not_for=(
        "Fitting decline curves or forecasting reserves.",
        "Planning a technician's route for the day.",
        "Changing, deleting or creating any record.",
    ),
    consumes=("AnswerQuestion",),
    emits=("FindingsReady", "ReauthNeeded", "TaskFailed"),
    tools=("list_tables", "describe_table", "check_sql"),
    vendors=("bedrock", "openai"),
    decrypts=("question", "findings"),
    egress=("snowflake",),
)

FIELD_ROUTING_CARD = AgentCard(
    name="field_routing",
    kind="specialist",
    purpose=(
        "Plans which technician visits which open work orders on a day, in which order and when, by the money at risk; "
        "fits a new job into a plan with few changes. Reads the work-order service as the asking user. Read only."
    ),
    examples=(
        "Plan my route for today's work orders out of Midland.",
        "Who should visit which wells in the Permian tomorrow?",
        "Fit an emergency call at the Cutbow 3H into this afternoon's schedule.",
    ),
    not_for=(
        "Counting or listing work orders, technicians or their hours.",
        "Assigning, closing or changing a work order.",
        "What a well produces, or why it is down.",
    ),
    consumes=("AnswerQuestion",),
    emits=("FindingsReady", "ReauthNeeded", "TaskFailed"),
    tools=("list_technicians", "list_work_orders"),
    vendors=("bedrock", "openai"),
    decrypts=("question", "findings", "plan", "plan_table", "chart"),
    egress=("work_orders",),
)

DRAFTER_CARD = AgentCard(
    name="drafter",
    kind="internal",
    purpose="Writes the answer from the specialists' findings, and the email to a consumer from the account's facts.",
    consumes=("DraftAnswer", "DraftEmail"),
    emits=("AnswerDrafted", "EmailDrafted", "TaskFailed"),
    vendors=("bedrock", "openai"),
    decrypts=("question", "findings", "answer", "account", "email", "review"),
)

COMPLIANCE_CARD = AgentCard(
    name="compliance",
    kind="internal",
    purpose="Says whether a person may be contacted, whether a draft keeps every rule, and whether now is the moment.",
    consumes=("CheckContact", "ReviewEmail", "CheckSending"),
    emits=(
        "ContactAllowed", "ContactBlocked", "EmailPassed", "RevisionNeeded", "EmailBlocked",
        "SendingAllowed", "SendingDeferred", "ReviewOutdated", "TaskFailed",
    ),
    vendors=("bedrock", "openai"),
    decrypts=("account", "email", "review"),
)  # fmt: skip

EMAIL_SENDER_CARD = AgentCard(
    name="email_sender",
    kind="internal",
    purpose="Sends an email that has passed, once, and says what became of it.",
    consumes=("SendEmail",),
    emits=(
        "EmailSent", "SendingHalted", "SendingTooLate", "SendingStopped", "EmailUndeliverable", "SendingUnknown",
        "SendingResolved", "TaskFailed",
    ),
    decrypts=("email", "address"),
)  # fmt: skip

AGENT_CARDS: dict[str, AgentCard] = {
    card.name: card
    for card in (TRIAGE_CARD, TEXT_TO_SQL_CARD, FIELD_ROUTING_CARD, DRAFTER_CARD, COMPLIANCE_CARD, EMAIL_SENDER_CARD)
}
