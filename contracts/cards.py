"""The agent cards of this application: the first of the five steps to a new agent (docs/build/adding-an-agent.md)."""

from __future__ import annotations

from switchyard.app.cards import AgentCard

TRIAGE_CARD = AgentCard(
    name="triage",
    kind="internal",
    purpose="Chooses the specialists whose cards fit a question, with the part of each, or says that none does.",
    consumes=("ChooseAgent",),
    emits=("AgentChosen", "AgentsChosen", "NoAgentFits", "TaskFailed"),
    vendors=("bedrock", "openai"),
    decrypts=("question", "memory"),
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
    decrypts=("question", "findings", "memory"),
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
    decrypts=("question", "findings", "plan", "plan_table", "chart", "memory"),
    egress=("work_orders",),
)

WELL_DATA_CARD = AgentCard(
    name="well_data",
    kind="specialist",
    purpose=(
        "Computes from loaded well data what a query cannot: decline fits and reserves with an interval, actual "
        "against forecast, trends and breaks of ratios, losses, shut-ins, surveys and logs at a depth, economic limits."
    ),
    examples=(
        "What is the EUR of the Cutbow 7H with a confidence interval?",
        "Has the gas-oil ratio of the Lone Juniper 9H broken away from its trend?",
        "What is the true vertical depth of the Rattler 2H at 9,500 ft?",
        "Which wells lost the most oil this week?",
    ),
    not_for=(
        "Plain lists, counts and sums from the warehouse's tables, such as work orders or downtime by month.",
        "Planning a technician's route for the day.",
        "Prices, or geology that no loaded log or survey holds.",
    ),
    consumes=("AnswerQuestion",),
    emits=("FindingsReady", "ReauthNeeded", "TaskFailed"),
    tools=(
        "well_facts", "production", "cumulative", "movers", "shut_ins", "downtime", "decline_fit",
        "actual_against_forecast", "ratio_trend", "allocated_against_metered", "survey_at_depth", "log_at_depth",
        "economic_limit",
    ),
    vendors=("bedrock", "openai"),
    decrypts=("question", "findings", "chart", "memory"),
)  # fmt: skip

DRAFTER_CARD = AgentCard(
    name="drafter",
    kind="internal",
    purpose="Writes the answer from the specialists' findings, and the email to a consumer from the account's facts.",
    consumes=("DraftAnswer", "DraftEmail"),
    emits=("AnswerDrafted", "EmailDrafted", "TaskFailed"),
    vendors=("bedrock", "openai"),
    decrypts=("question", "findings", "answer", "account", "email", "review", "memory"),
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

MEMORY_CARD = AgentCard(
    name="memory",
    kind="internal",
    purpose="Keeps the turns of a session and, with consent, what a user says of themselves; recalls it; forgets it.",
    consumes=("RecallMemory", "KeepTurn"),
    emits=("MemoryRecalled", "MemoryKept", "MemoryForgotten", "TaskFailed"),
    vendors=("bedrock", "openai"),
    decrypts=("question", "answer", "memory"),
)

JUDGE_CARD = AgentCard(
    name="judge",
    kind="internal",
    purpose="Marks a sample of the answered cases after their end, by a rubric; changes no case.",
    consumes=("CaseClosed",),
    emits=("CaseJudged",),
    vendors=("bedrock", "openai"),
    decrypts=("question", "findings", "answer"),
    observes=("assist",),
)

AGENT_CARDS: dict[str, AgentCard] = {
    card.name: card
    for card in (
        TRIAGE_CARD,
        TEXT_TO_SQL_CARD,
        WELL_DATA_CARD,
        FIELD_ROUTING_CARD,
        DRAFTER_CARD,
        COMPLIANCE_CARD,
        EMAIL_SENDER_CARD,
        MEMORY_CARD,
        JUDGE_CARD,
    )
}
