"""Create dead letters, schedules, operations, the action log and the outbox."""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE operations.dead_letter (
        id uuid PRIMARY KEY,
        queue text NOT NULL,
        message_id text NOT NULL,
        failure_key text NOT NULL,
        actor text NOT NULL,
        payload text NOT NULL,
        arguments text NOT NULL,
        options text NOT NULL,
        error text NOT NULL,
        traceback text NOT NULL,
        trace_id text NOT NULL,
        organization_id text NOT NULL,
        attempts integer NOT NULL,
        sent_at timestamptz NOT NULL,
        failed_at timestamptz NOT NULL,
        state text NOT NULL CHECK (state IN ('open', 'replayed', 'discarded')),
        failures integer NOT NULL,
        first_failed_at timestamptz NOT NULL,
        version integer NOT NULL,
        closed_at timestamptz,
        closed_by text NOT NULL,
        UNIQUE (queue, message_id)
    )
    """,
    "CREATE INDEX dead_letter_state ON operations.dead_letter (state, id)",
    # A failure that the broker gives out twice is known by this.
    """
    CREATE TABLE operations.dead_letter_failure (
        queue text,
        message_id text,
        failure_key text,
        failed_at timestamptz NOT NULL,
        PRIMARY KEY (queue, message_id, failure_key)
    )
    """,
    """
    CREATE TABLE operations.schedule (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        queue text NOT NULL,
        actor text NOT NULL,
        payload text NOT NULL,
        cron text NOT NULL,
        time_zone text NOT NULL,
        missed_runs text NOT NULL CHECK (missed_runs IN ('fire_once', 'skip', 'fire_all')),
        created_by text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        once_at timestamptz,
        catch_up_limit integer NOT NULL,
        paused boolean NOT NULL,
        next_at timestamptz,
        version integer NOT NULL,
        request_id uuid UNIQUE,
        CHECK ((cron = '') <> (once_at IS NULL))
    )
    """,
    "CREATE INDEX schedule_due ON operations.schedule (next_at) WHERE next_at IS NOT NULL",
    # A time is fired for once, whatever the schedulers do.
    """
    CREATE TABLE operations.schedule_fire (
        id uuid PRIMARY KEY,
        schedule_id uuid NOT NULL REFERENCES operations.schedule ON DELETE CASCADE,
        manual boolean NOT NULL,
        due_at timestamptz NOT NULL,
        fired_at timestamptz NOT NULL,
        request_id uuid UNIQUE,
        UNIQUE (schedule_id, due_at)
    )
    """,
    "CREATE INDEX schedule_fire_page ON operations.schedule_fire (schedule_id, id DESC)",
    "CREATE INDEX schedule_fire_age ON operations.schedule_fire (fired_at)",
    """
    CREATE TABLE operations.operation (
        id uuid PRIMARY KEY,
        request jsonb NOT NULL,
        state text NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled')),
        total integer NOT NULL,
        done integer NOT NULL,
        cursor uuid,
        cancel_requested boolean NOT NULL,
        created_by text NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        ended_at timestamptz,
        expire_at timestamptz,
        error text NOT NULL,
        request_id uuid UNIQUE,
        fence bigint NOT NULL DEFAULT 0,
        lease_until timestamptz
    )
    """,
    "CREATE INDEX operation_running ON operations.operation (id) WHERE state = 'running'",
    """
    CREATE TABLE operations.action (
        id uuid PRIMARY KEY,
        verb text NOT NULL,
        subject_kind text NOT NULL,
        subject_id uuid NOT NULL,
        actor_id text NOT NULL,
        at timestamptz NOT NULL,
        details jsonb NOT NULL
    )
    """,
    "CREATE INDEX action_subject ON operations.action (subject_id, id DESC)",
    """
    CREATE FUNCTION operations.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the action log is only ever added to'; END $$
    """,
    """
    CREATE TRIGGER action_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON operations.action
    FOR EACH STATEMENT EXECUTE FUNCTION operations.refuse_change()
    """,
    # The queues that workers have declared: RabbitMQ cannot be asked for them.
    "CREATE TABLE operations.queue (name text PRIMARY KEY)",
    """
    CREATE TABLE operations.outbox (
        id bigserial PRIMARY KEY,
        partition smallint NOT NULL,
        event_id uuid NOT NULL UNIQUE,
        topic text NOT NULL,
        key text NOT NULL,
        payload jsonb NOT NULL,
        headers jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_scale_factor = 0.01)
    """,
    "CREATE INDEX outbox_partition ON operations.outbox (partition, id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
