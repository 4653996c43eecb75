"""What the store of runs says to PostgreSQL: the hot road is written out, each statement one round trip."""

import re
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Integer, Text, TextClause, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

from services.chassis.outbox import EVENT_TYPES, storing
from services.conversations.backends.tables import EVENT_OUTBOX, OUTBOX

_TYPES: dict[str, TypeEngine[Any]] = {
    "at": DateTime(timezone=True),
    "fence": BigInteger(),
    "limit": Integer(),
    "metadata": JSONB(none_as_null=True),
    "calls": JSONB(none_as_null=True),
    "depth": Integer(),
    "says": Integer(),
    "tool_required": Boolean(),
    "size": Integer(),
    "run_ids": ARRAY(Uuid()),
    **dict.fromkeys(
        ("conversation_id", "edits", "message_id", "output_id", "question_id", "request_id", "run_id"), Uuid()
    ),
    **dict.fromkeys(("message", "owner_id", "reason", "state", "text", "title"), Text()),
    **EVENT_TYPES,
}


# The statements of the hot road are written out: each is one round trip, and is compiled once.
def _sql(statement: str) -> TextClause:
    names = set(re.findall(r"(?<!:):(\w+)", statement))
    return text(statement).bindparams(*[bindparam(name, type_=_TYPES[name]) for name in names])


# The update locks the conversation: its messages are numbered one after the other. A message follows the one that ends
# the active branch, an edited one takes the place of the one that it edits.
_NUDGE = "jsonb_build_object('conversation_id', CAST(:outbox_key AS text), 'tenant', tenant)"
ACCEPT = _sql(f"""
    WITH before AS (
        SELECT id, active_message_id FROM conversations.conversation
        WHERE id = :conversation_id AND owner_id = :owner_id FOR UPDATE
    ), numbered AS (
        UPDATE conversations.conversation AS c
        SET last_sequence = last_sequence + 1, updated_at = :at, nudged_at = now(), active_message_id = :message_id,
            title = CASE title WHEN '' THEN :title ELSE title END
        FROM before WHERE c.id = before.id
        RETURNING c.last_sequence, coalesce(c.organization_id, c.owner_id) AS tenant,
            CASE WHEN CAST(:edits AS uuid) IS NULL THEN before.active_message_id
                ELSE (SELECT parent_id FROM conversations.message WHERE id = :edits) END AS parent_id
    ), said AS (
        INSERT INTO conversations.message
            (id, conversation_id, sequence, role, text, run_id, request_id, created_at, parent_id)
        SELECT :message_id, :conversation_id, last_sequence, 'user', :text, :run_id, :request_id, :at, parent_id
        FROM numbered
    ), queued AS (
        INSERT INTO conversations.run (id, conversation_id, ordinal, message_id, state, created_at, tool_required)
        SELECT :run_id, :conversation_id, last_sequence, :message_id, 'queued', :at, :tool_required FROM numbered
    ), nudged AS (
        {storing(OUTBOX, _NUDGE, "numbered")}
    )
    SELECT last_sequence, parent_id FROM numbered
""")  # noqa: S608 - names of ours

# A further answer to a message that is there: it takes its turn behind all that waits.
ANSWER_AGAIN = _sql(f"""
    WITH locked AS (
        UPDATE conversations.conversation
        SET updated_at = :at, nudged_at = now(), active_message_id = :message_id
        WHERE id = :conversation_id AND owner_id = :owner_id
        RETURNING last_sequence, coalesce(organization_id, owner_id) AS tenant
    ), queued AS (
        INSERT INTO conversations.run (id, conversation_id, ordinal, message_id, state, created_at, request_id)
        SELECT :run_id, :conversation_id, last_sequence, :message_id, 'queued', :at, :request_id FROM locked
    ), nudged AS (
        {storing(OUTBOX, _NUDGE, "locked")}
    )
    SELECT last_sequence FROM locked
""")  # noqa: S608 - names of ours

# The branch through a message ends where the last answer to the last question ends.
ACTIVATE = _sql("""
    WITH RECURSIVE branch AS (
        SELECT id, 0 AS depth FROM conversations.message
        WHERE id = :message_id AND conversation_id = :conversation_id
        UNION ALL
        SELECT child.id, depth + 1 FROM branch, LATERAL (
            SELECT id FROM conversations.message WHERE parent_id = branch.id ORDER BY sequence DESC LIMIT 1
        ) AS child
    )
    UPDATE conversations.conversation
    SET active_message_id = (SELECT id FROM branch ORDER BY depth DESC LIMIT 1), updated_at = now()
    WHERE id = :conversation_id AND owner_id = :owner_id AND EXISTS (SELECT 1 FROM branch)
""")

# What a worker needs to know of who asks.
_ASKED = "fence, context, owner_id, organization_id, data_key, bot_id, application_id, prompt_variables"
# The branch that ends at the question, from its last messages on.
_BRANCH = """
    branch AS (
        SELECT m.id, m.role, m.text, m.parent_id, 1 AS depth
        FROM taken JOIN conversations.message AS m ON m.id = taken.message_id
        UNION ALL
        SELECT m.id, m.role, m.text, m.parent_id, depth + 1
        FROM branch JOIN conversations.message AS m ON m.id = branch.parent_id WHERE depth < :size
    )
"""
_HISTORY = "(SELECT json_agg(json_build_array(id, role, text) ORDER BY depth DESC) FROM branch) AS history"
HISTORY = _sql(f"""
    WITH RECURSIVE taken AS (SELECT CAST(:message_id AS uuid) AS message_id), {_BRANCH} SELECT {_HISTORY}
""")

# The inner select may see what another worker has just ended; the state in the outer condition is looked at again
# under the row's lock. A lease without a run is given back by the caller. The history is that of when the statement
# began: what belongs to it was said by then.
CLAIM = _sql(f"""
    WITH RECURSIVE leased AS (
        UPDATE conversations.conversation AS c
        SET fence = fence + 1, lease_until = now() + interval '8 seconds'
        WHERE id = :conversation_id AND (lease_until IS NULL OR lease_until < now()) AND EXISTS (
            SELECT 1 FROM conversations.run WHERE conversation_id = c.id AND state IN ('queued', 'running')
        )
        RETURNING id, {_ASKED}
    ), taken AS (
        UPDATE conversations.run
        SET state = 'running', attempt = attempt + 1, started_at = coalesce(started_at, now())
        WHERE state IN ('queued', 'running') AND id = (
            SELECT run.id FROM conversations.run, leased
            WHERE conversation_id = leased.id AND state IN ('queued', 'running') ORDER BY ordinal, id LIMIT 1
        )
        RETURNING run.*
    ), {_BRANCH}
    SELECT {_ASKED}, taken.*, {_HISTORY} FROM leased LEFT JOIN taken ON true
""")  # noqa: S608 - text of ours

# Ends a run and takes up the next one, or gives the lease back. All of it sees what was committed when it began: what
# is accepted while it waits for the conversation's row shows in `nudged_at`, and the caller looks again. Whoever
# delivers answers is told of a final one: where it is, not what it says.
_ANSWER = """jsonb_build_object(
    'owner_id', owner_id, 'conversation_id', CAST(:outbox_key AS text), 'message_id', CAST(:message_id AS text),
    'run_id', CAST(:run_id AS text), 'sequence', last_sequence
)"""
_OPEN_CALLS = """jsonb_path_exists(calls, '$[*] ? (@.state == "started" || @.state == "waiting_for_approval")')"""
# What was said before an answer came, and waits for its own, follows it.
_MOVE = """
    UPDATE conversations.message AS m SET parent_id = :message_id
    FROM conversations.run AS waiting
    WHERE m.parent_id = :question_id AND m.role = 'user' AND waiting.message_id = m.id
        AND waiting.conversation_id = :conversation_id AND waiting.state = 'queued'
"""
MOVE = _sql(_MOVE)
FINISH = _sql(f"""
    WITH seen AS (
        SELECT nudged_at FROM conversations.conversation WHERE id = :conversation_id
    ), following AS (
        SELECT id FROM conversations.run
        WHERE conversation_id = :conversation_id AND state IN ('queued', 'running') AND id <> :run_id
        ORDER BY ordinal, id LIMIT 1
    ), held AS (
        UPDATE conversations.conversation
        SET last_sequence = last_sequence + :says, updated_at = now(),
            lease_until = CASE WHEN EXISTS (SELECT 1 FROM following) THEN now() + interval '8 seconds' END,
            active_message_id = CASE WHEN :says = 1 AND active_message_id = :question_id THEN :message_id
                ELSE active_message_id END
        WHERE id = :conversation_id AND fence = :fence
            AND EXISTS (SELECT 1 FROM conversations.run WHERE id = :run_id AND state IN ('queued', 'running'))
        RETURNING last_sequence, nudged_at, {_ASKED}
    ), said AS (
        INSERT INTO conversations.message
            (id, conversation_id, sequence, role, text, run_id, metadata, created_at, parent_id)
        SELECT :message_id, :conversation_id, last_sequence, 'assistant', :text, :run_id, :metadata, now(), :question_id
        FROM held WHERE :says = 1
    ), moved AS (
        {_MOVE} AND :says = 1 AND EXISTS (SELECT 1 FROM held)
    ), ended AS (
        UPDATE conversations.run
        SET state = :state, output_message_id = :output_id, error_reason = :reason, error_message = :message,
            ended_at = now()
        FROM held WHERE id = :run_id AND state IN ('queued', 'running')
        RETURNING run.*
    ), told AS (
        {storing(EVENT_OUTBOX, _ANSWER, "held JOIN ended ON ended.state = 'succeeded'")}
    ), owed AS (
        INSERT INTO conversations.withdrawal (run_id)
        SELECT DISTINCT ended.id FROM ended JOIN conversations.run_round ON run_round.run_id = ended.id
        WHERE ended.state <> 'succeeded' AND {_OPEN_CALLS}
        ON CONFLICT DO NOTHING
    ), taken AS (
        UPDATE conversations.run
        SET state = 'running', attempt = attempt + 1, started_at = coalesce(started_at, now())
        FROM held WHERE id = (SELECT id FROM following) AND state IN ('queued', 'running')
        RETURNING run.*
    )
    SELECT held.last_sequence, {_ASKED}, held.nudged_at IS DISTINCT FROM seen.nudged_at AS was_nudged,
        EXISTS (SELECT 1 FROM following) AS is_leased, run.*
    FROM held JOIN seen ON true JOIN (SELECT * FROM ended UNION ALL SELECT * FROM taken) AS run ON true
""")  # noqa: S608 - names of ours

# The update locks the conversation: a worker whose fence is not the highest any more stores nothing, and one that takes
# the run over reads all that was stored before.
SAVE_ROUND = _sql("""
    WITH held AS (
        UPDATE conversations.conversation SET lease_until = now() + interval '8 seconds'
        WHERE id = :conversation_id AND fence = :fence
        RETURNING id
    )
    INSERT INTO conversations.run_round (run_id, depth, text, metadata, calls, asked_at)
    SELECT :run_id, :depth, :text, :metadata, :calls, :at FROM held
    ON CONFLICT (run_id, depth) DO UPDATE SET calls = excluded.calls
    RETURNING run_id
""")

# Texts are cut a character late, so that it is seen that they were.
SHOWN_CALLS = _sql("""
    SELECT run_id, depth, text, metadata, asked_at, jsonb_agg(
        call || jsonb_build_object('arguments', left(call->>'arguments', 1001), 'result', left(call->>'result', 1001))
        ORDER BY position
    ) AS calls
    FROM conversations.run_round, jsonb_array_elements(calls) WITH ORDINALITY AS one (call, position)
    WHERE run_id = ANY(:run_ids)
    GROUP BY run_id, depth
    ORDER BY run_id, depth
""")

# A round stands as it was stored last: which of its open calls have ended meanwhile, `tools` knows.
OWE_WITHDRAWALS = _sql(f"""
    INSERT INTO conversations.withdrawal (run_id)
    SELECT DISTINCT run_id FROM conversations.run_round WHERE run_id = ANY(:run_ids) AND {_OPEN_CALLS}
    ON CONFLICT DO NOTHING
""")  # noqa: S608 - text of ours

_LATER = """
    SET tries = least(tries + 1, 6),
        due_at = now() + least(interval '10 seconds' * power(2, tries), interval '10 minutes')
"""
# Taken up, and due again by itself when whoever took it up dies.
DUE_WITHDRAWALS = _sql(f"""
    UPDATE conversations.withdrawal {_LATER}
    WHERE run_id IN (
        SELECT run_id FROM conversations.withdrawal
        WHERE due_at <= now() ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING run_id
""")  # noqa: S608 - text of ours
DUE_WITHDRAWAL = _sql(f"""
    UPDATE conversations.withdrawal {_LATER}
    WHERE run_id = :run_id AND due_at <= now()
""")
SETTLE_ROUND = _sql("""
    UPDATE conversations.run_round SET calls = :calls WHERE run_id = :run_id AND depth = :depth
""")
SETTLE_WITHDRAWAL = _sql("DELETE FROM conversations.withdrawal WHERE run_id = :run_id")

# A heartbeat may overtake nothing: one that reaches PostgreSQL after its worker gave the lease back leaves it so, else
# nobody would hold the conversation and nobody could take it.
RENEW = _sql("""
    UPDATE conversations.conversation
    SET lease_until = CASE WHEN lease_until IS NOT NULL THEN now() + interval '8 seconds' END
    WHERE id = :conversation_id AND fence = :fence
""")

# Nudged long ago on purpose: the next look for stranded conversations finds it.
RELEASE = _sql("""
    UPDATE conversations.conversation SET lease_until = NULL, nudged_at = 'epoch'
    WHERE id = :conversation_id AND fence = :fence
""")

# A lease that ran out says that a worker died: one nudge at once. Otherwise ten seconds are longer than a nudge takes
# to reach an idle worker, and one that waits its turn is nudged again this often.
NUDGE_STRANDED = _sql("""
    UPDATE conversations.conversation SET nudged_at = now()
    WHERE id IN (
        SELECT id FROM conversations.conversation
        WHERE id IN (SELECT conversation_id FROM conversations.run WHERE state IN ('queued', 'running'))
            AND (lease_until IS NULL OR lease_until < now())
            AND (nudged_at < lease_until OR nudged_at < now() - interval '10 seconds')
        ORDER BY nudged_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    RETURNING id, coalesce(organization_id, owner_id) AS tenant
""")

REQUEST_CANCEL = _sql("""
    UPDATE conversations.run
    SET cancel_requested = true,
        state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
        ended_at = CASE state WHEN 'queued' THEN now() END
    WHERE id = :run_id AND state IN ('queued', 'running')
""")
