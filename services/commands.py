"""The commands that this application adds to `switchyard`: `module:attribute` and the line in `switchyard --help`.

A name of two words is a command inside a group of the engine's. Apart from the App, which imports every contract:
`switchyard --help` needs only the names.
"""

COMMANDS = {
    "ask": ("services.ask:ask_question", "Ask one question and wait for the answer."),
    "consent": ("services.users:give_consent", "Let a case continue that waits for its user's consent."),
    "case feedback": ("services.users:give_feedback", "Say whether the answer of a case was good."),
    "grant": ("services.users:grants", "Revoke what a user allowed agents to do."),
    "demo": ("demo.commands:run", "Run the demo on a stack of its own."),
    "email": ("services.specialists.email_sender.commands:app", "List and resolve emails whose delivery is unknown."),
    "memory": ("services.memory.commands:app", "List, explain, export and forget what is remembered of a person."),
    "evals": ("evals.commands:app", "Make eval cases of real ones; measure how far the judge agrees with people."),
    "restore": ("services.restore:restore_work", "Restore from the log what a restored work database lacks."),
    "wells": ("services.specialists.well_data.loading.commands:app", "Load well data and report what is refused."),
    "schema": ("services.specialists.text_to_sql.commands:app", "The file that describes the warehouse."),
    "sample": ("services.samples:app", "Print a complete sample submission."),
    "rules": (
        "services.specialists.compliance.commands:app",
        "List the rules of the compliance gate, or try them on a draft.",
    ),
}
