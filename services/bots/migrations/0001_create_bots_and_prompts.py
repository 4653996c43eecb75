"""Create bots, applications, prompts and the record of changes."""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE bots.prompt (
        id uuid PRIMARY KEY,
        owner text NOT NULL,
        name text NOT NULL,
        description text NOT NULL,
        latest_version integer NOT NULL,
        revision integer NOT NULL,
        request_id uuid,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        UNIQUE (owner, request_id)
    )
    """,
    "CREATE INDEX prompt_page ON bots.prompt (owner, id DESC)",
    """
    CREATE TABLE bots.prompt_version (
        prompt_id uuid NOT NULL REFERENCES bots.prompt ON DELETE CASCADE,
        number integer NOT NULL,
        text text NOT NULL,
        variables jsonb NOT NULL,
        note text NOT NULL,
        author_id text NOT NULL,
        request_id uuid,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (prompt_id, number),
        UNIQUE (prompt_id, request_id)
    )
    """,
    # Not even a mistake of ours changes a version.
    """
    CREATE FUNCTION bots.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a version of a prompt never changes'; END $$
    """,
    """
    CREATE TRIGGER prompt_version_is_immutable BEFORE UPDATE ON bots.prompt_version
    FOR EACH ROW EXECUTE FUNCTION bots.refuse_change()
    """,
    """
    CREATE TABLE bots.prompt_label (
        prompt_id uuid NOT NULL REFERENCES bots.prompt ON DELETE CASCADE,
        name text NOT NULL,
        version integer NOT NULL,
        before integer[] NOT NULL,
        revision integer NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (prompt_id, name),
        FOREIGN KEY (prompt_id, version) REFERENCES bots.prompt_version ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE bots.bot (
        id uuid PRIMARY KEY,
        owner text NOT NULL,
        name text NOT NULL,
        description text NOT NULL,
        model text NOT NULL,
        max_output_tokens integer NOT NULL,
        temperature double precision,
        prompt_id uuid REFERENCES bots.prompt,
        prompt_label text NOT NULL,
        tool_ids uuid[] NOT NULL,
        revision integer NOT NULL,
        request_id uuid,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        UNIQUE (owner, request_id)
    )
    """,
    "CREATE INDEX bot_page ON bots.bot (owner, id DESC)",
    "CREATE INDEX bot_prompt ON bots.bot (prompt_id)",
    """
    CREATE TABLE bots.application (
        id uuid PRIMARY KEY,
        owner text NOT NULL,
        name text NOT NULL,
        bot_id uuid NOT NULL REFERENCES bots.bot,
        allowed_origins text[] NOT NULL,
        disabled boolean NOT NULL,
        revision integer NOT NULL,
        request_id uuid,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        UNIQUE (owner, request_id)
    )
    """,
    "CREATE INDEX application_page ON bots.application (owner, id DESC)",
    "CREATE INDEX application_bot ON bots.application (bot_id)",
    """
    CREATE TABLE bots.application_key (
        id uuid PRIMARY KEY,
        application_id uuid NOT NULL REFERENCES bots.application ON DELETE CASCADE,
        digest bytea NOT NULL UNIQUE,
        prefix text NOT NULL,
        expires_at timestamptz,
        created_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX application_key_page ON bots.application_key (application_id, id DESC)",
    """
    CREATE TABLE bots.change (
        id uuid PRIMARY KEY,
        owner text NOT NULL,
        subject text NOT NULL,
        subject_id uuid NOT NULL,
        action text NOT NULL,
        detail text NOT NULL,
        user_id text NOT NULL,
        at timestamptz NOT NULL,
        stale text NOT NULL
    )
    """,
    "CREATE INDEX change_page ON bots.change (owner, id DESC)",
    "CREATE INDEX change_subject ON bots.change (subject_id, id DESC)",
    # What is still to be dropped from the cache: next to nothing, however long the record is.
    "CREATE INDEX change_stale ON bots.change (id) WHERE stale <> ''",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
